// Command evidence-probe is both ends of a segmentation probe: it tries connections from inside a pod, and it answers them.
//
//	evidence-probe serve TOKEN PORTS              answer TOKEN on every port of PORTS (TCP/5432,UDP/53,SCTP/3868) until ended
//	evidence-probe try CONTROL PATIENCE TARGET…   try every target, then end
//
// A TARGET is ID,PROTOCOL,ADDRESS,PORT,WANT,TOKEN: WANT is "allow" or "deny" (what was computed), TOKEN what the other end answers, or empty
// for one that is not ours. Each is tried at once, and again until what is seen is what was computed, for at most PATIENCE milliseconds: so
// the time for which a policy was not yet in force is measured, and a lost packet decides nothing. On port CONTROL (0: none) one connection
// is awaited: the kubelet's, which shows that this pod's network works.
//
// Everything is told on standard output, one JSON object a line. It needs no privilege, no file and no library.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	atOnce       = 64
	attemptTime  = 1500 * time.Millisecond
	answerTime   = 400 * time.Millisecond
	pause        = 200 * time.Millisecond
	silentTries  = 2 // one silence may be a lost packet
	controlAfter = 8 * time.Second
)

var start = time.Now()

var out = struct {
	sync.Mutex
	*json.Encoder
}{Encoder: json.NewEncoder(os.Stdout)}

func say(line any) {
	out.Lock()
	defer out.Unlock()
	out.Encode(line)
}

func since() int64 { return time.Since(start).Milliseconds() }

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() { <-stop; os.Exit(0) }() // as the first process of a container, nothing ends us but this
	args := os.Args[1:]
	switch {
	case len(args) == 3 && args[0] == "serve":
		serve(args[1], strings.Split(args[2], ","))
		select {}
	case len(args) >= 3 && args[0] == "try":
		control, err := strconv.Atoi(args[1])
		patience, err2 := strconv.Atoi(args[2])
		if err != nil || err2 != nil {
			usage()
		}
		try(control, time.Duration(patience)*time.Millisecond, args[3:])
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: evidence-probe serve TOKEN PORTS | try CONTROL PATIENCE_MS TARGET...")
	os.Exit(2)
}

// ---- trying

type target struct {
	id       int
	protocol string
	address  net.IP
	port     int
	allow    bool
	token    string
}

type told struct {
	Kind     string `json:"kind"` // "tried"
	ID       int    `json:"id"`
	Attempts int    `json:"attempts"`
	First    seen   `json:"first"`
	Last     seen   `json:"last"`
}

func try(control int, patience time.Duration, list []string) {
	reached := make(chan bool)
	if control > 0 {
		go await(control, reached)
	} else {
		close(reached)
	}
	slots := make(chan bool, atOnce)
	var all sync.WaitGroup
	for _, text := range list {
		t, err := parse(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, "evidence-probe:", err)
			os.Exit(2)
		}
		slots <- true
		all.Add(1)
		go func() {
			defer all.Done()
			say(settle(t, patience))
			<-slots
		}()
	}
	all.Wait()
	select {
	case <-reached:
	case <-time.After(time.Until(start.Add(controlAfter))):
	}
	say(map[string]any{"kind": "done", "ms": since()})
}

// await says who connects first to the control port.
func await(port int, reached chan bool) {
	defer close(reached)
	l, err := net.Listen("tcp", fmt.Sprint(":", port))
	if err != nil {
		say(map[string]any{"kind": "failed", "detail": err.Error()})
		return
	}
	c, err := l.Accept()
	if err != nil {
		return
	}
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	c.Close()
	say(map[string]any{"kind": "reached", "from": host, "ms": since()})
	go func() { // whoever comes later finds the port open, too
		for {
			if c, err := l.Accept(); err == nil {
				c.Close()
			}
		}
	}()
}

func parse(text string) (target, error) {
	parts := strings.Split(text, ",")
	if len(parts) != 6 {
		return target{}, fmt.Errorf("bad target %q", text)
	}
	id, err := strconv.Atoi(parts[0])
	port, err2 := strconv.Atoi(parts[3])
	t := target{id, parts[1], net.ParseIP(parts[2]), port, parts[4] == "allow", parts[5]}
	if err != nil || err2 != nil || t.address == nil {
		return target{}, fmt.Errorf("bad target %q", text)
	}
	return t, nil
}

// settle tries until what is seen agrees with what was computed, or patience is at its end.
func settle(t target, patience time.Duration) told {
	until := time.Now().Add(patience)
	result := told{Kind: "tried", ID: t.id}
	silent := 0
	for {
		began := since()
		s := attempt(t)
		s.At = began
		result.Attempts++
		if result.Attempts == 1 {
			result.First = s
		}
		result.Last = s
		if s.Seen == "silent" {
			silent++
		}
		agrees := s.Seen == "open"
		if !t.allow {
			agrees = s.Seen == "refused" || s.Seen == "rejected" || silent >= silentTries
		}
		if agrees || s.Seen == "cannot" || !time.Now().Before(until) {
			return result
		}
		if !(s.Seen == "silent" && !t.allow) {
			time.Sleep(pause)
		}
	}
}

// ---- answering

func serve(token string, ports []string) {
	failed := map[string]string{}
	for _, name := range ports {
		protocol, number, _ := strings.Cut(name, "/")
		port, err := strconv.Atoi(number)
		if err != nil {
			usage()
		}
		switch protocol {
		case "TCP":
			err = serveTCP(token, port)
		case "UDP":
			err = serveUDP(token, port)
		case "SCTP":
			err = serveSCTP(token, port)
		default:
			usage()
		}
		if err != nil {
			failed[name] = err.Error()
		}
	}
	say(map[string]any{"kind": "serving", "failed": failed})
}

func serveTCP(token string, port int) error {
	l, err := net.Listen("tcp", fmt.Sprint(":", port))
	if err != nil {
		return err
	}
	go func() {
		for {
			if c, err := l.Accept(); err == nil {
				go func() { fmt.Fprint(c, token); c.Close() }()
			}
		}
	}()
	return nil
}

func serveUDP(token string, port int) error {
	l, err := net.ListenPacket("udp", fmt.Sprint(":", port))
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 512)
		for {
			if _, from, err := l.ReadFrom(buf); err == nil {
				l.WriteTo([]byte(token), from)
			}
		}
	}()
	return nil
}
