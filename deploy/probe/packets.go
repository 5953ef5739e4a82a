package main

import (
	"encoding/binary"
	"net"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// seen is what one attempt met with. Seen is
//
//	open      the other end answered: connected (TCP, SCTP), or a datagram came back (UDP); one of ours with its token
//	foreign   something answered in place of our other end
//	reset     connected, and reset at once
//	refused   a reset (TCP), an ABORT (SCTP), or "port unreachable" from the very address that was asked (UDP)
//	rejected  an ICMP error from somewhere on the way, or the kernel's own refusal to send
//	silent    nothing, in time
//	failed    the packet could not be sent at all: no route, no socket
//	cannot    this kernel does not know the protocol
type seen struct {
	Seen   string `json:"seen"`
	At     int64  `json:"at"`   // milliseconds after the start
	Took   int64  `json:"took"` // milliseconds
	Detail string `json:"detail,omitempty"`
	ICMP   *icmp  `json:"icmp,omitempty"`
}

type icmp struct {
	From string `json:"from"`
	Type int    `json:"type"`
	Code int    `json:"code"`
}

const (
	protocolSCTP = 132
	recvErr4     = 11 // IP_RECVERR
	recvErr6     = 25 // IPV6_RECVERR
	originLocal  = 1  // SO_EE_ORIGIN_LOCAL
	pollIn       = 1
	pollOut      = 4
)

func attempt(t target) seen {
	began := time.Now()
	s := once(t, began.Add(attemptTime))
	s.Took = time.Since(began).Milliseconds()
	return s
}

func once(t target, until time.Time) seen {
	fd, err := open(t)
	if err == syscall.EPROTONOSUPPORT || err == syscall.ESOCKTNOSUPPORT {
		return seen{Seen: "cannot", Detail: err.Error()}
	}
	if err != nil {
		return seen{Seen: "failed", Detail: err.Error()}
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, sockaddr(t)); err != nil && err != syscall.EINPROGRESS {
		return missed(fd, t, err)
	}
	if t.protocol == "UDP" {
		return ask(fd, t, until)
	}
	if !ready(fd, pollOut, until) {
		return seen{Seen: "silent"}
	}
	if code, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR); err != nil {
		return seen{Seen: "failed", Detail: err.Error()}
	} else if code != 0 {
		return missed(fd, t, syscall.Errno(code))
	}
	wait := until
	if t.token == "" {
		wait = time.Now().Add(answerTime) // for a reset; what another's server says is nobody's business here
	}
	answer, err := receive(fd, wait)
	if err == syscall.ECONNRESET {
		return seen{Seen: "reset"}
	}
	return answered(t, answer)
}

func answered(t target, answer string) seen {
	if t.token != "" && answer != t.token {
		return seen{Seen: "foreign"}
	}
	return seen{Seen: "open"}
}

func open(t target) (int, error) {
	kind, protocol := syscall.SOCK_STREAM, 0
	switch t.protocol {
	case "UDP":
		kind = syscall.SOCK_DGRAM
	case "SCTP":
		protocol = protocolSCTP
	}
	family, level, option := syscall.AF_INET, syscall.IPPROTO_IP, recvErr4
	if t.address.To4() == nil {
		family, level, option = syscall.AF_INET6, syscall.IPPROTO_IPV6, recvErr6
	}
	fd, err := syscall.Socket(family, kind|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, protocol)
	if err == nil {
		syscall.SetsockoptInt(fd, level, option, 1) // so that an ICMP error is told with who sent it
	}
	return fd, err
}

func sockaddr(t target) syscall.Sockaddr {
	if v4 := t.address.To4(); v4 != nil {
		return &syscall.SockaddrInet4{Port: t.port, Addr: [4]byte(v4)}
	}
	return &syscall.SockaddrInet6{Port: t.port, Addr: [16]byte(t.address.To16())}
}

// ask sends a datagram three times, in case one is lost, and waits for an answer.
func ask(fd int, t target, until time.Time) seen {
	for n := 3; n > 0; n-- {
		if _, err := syscall.Write(fd, []byte("evidence-probe")); err != nil && err != syscall.EAGAIN {
			return missed(fd, t, err)
		}
		answer, err := receive(fd, time.Now().Add(time.Until(until)/time.Duration(n)))
		if err == nil {
			return answered(t, answer)
		}
		if err != syscall.ETIMEDOUT {
			return missed(fd, t, err)
		}
	}
	return seen{Seen: "silent"}
}

// missed tells a socket error apart by the ICMP message behind it, where there is one.
func missed(fd int, t target, err error) seen {
	told := errorQueue(fd)
	s := seen{Seen: "rejected", Detail: err.Error(), ICMP: told}
	switch err {
	case syscall.ECONNREFUSED:
		portClosed := told != nil && t.protocol == "UDP" && net.ParseIP(told.From).Equal(t.address)
		if told == nil || portClosed {
			s.Seen = "refused"
		}
	case syscall.ECONNRESET:
		s.Seen = "reset"
	case syscall.ETIMEDOUT:
		s.Seen = "silent"
	case syscall.EHOSTUNREACH, syscall.EPERM, syscall.EACCES:
	default:
		if told == nil {
			s.Seen = "failed"
		}
	}
	return s
}

// errorQueue reads the ICMP message that the kernel keeps with a socket's error (ip(7), IP_RECVERR); nil where there is none.
func errorQueue(fd int) *icmp {
	data, oob := make([]byte, 512), make([]byte, 512)
	_, n, _, _, err := syscall.Recvmsg(fd, data, oob, syscall.MSG_ERRQUEUE)
	if err != nil {
		return nil
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil
	}
	for _, m := range messages {
		ours := m.Header.Level == syscall.IPPROTO_IP && m.Header.Type == recvErr4 ||
			m.Header.Level == syscall.IPPROTO_IPV6 && m.Header.Type == recvErr6
		if !ours || len(m.Data) < 24 || m.Data[4] == originLocal {
			continue
		}
		found := &icmp{Type: int(m.Data[5]), Code: int(m.Data[6])}
		switch offender := m.Data[16:]; { // struct sock_extended_err is 16 bytes, then a sockaddr
		case binary.NativeEndian.Uint16(offender) == syscall.AF_INET:
			found.From = net.IP(offender[4:8]).String()
		case len(offender) >= 24:
			found.From = net.IP(offender[8:24]).String()
		}
		return found
	}
	return nil
}

func receive(fd int, until time.Time) (string, error) {
	buf := make([]byte, 512)
	for {
		if !ready(fd, pollIn, until) {
			return "", syscall.ETIMEDOUT
		}
		n, err := syscall.Read(fd, buf)
		if err == nil {
			return strings.ToValidUTF8(string(buf[:n]), "?"), nil
		}
		if err != syscall.EAGAIN && err != syscall.EINTR {
			return "", err
		}
	}
}

// ready waits for a socket; false when the time is over.
func ready(fd int, events int16, until time.Time) bool {
	for {
		left := time.Until(until)
		if left <= 0 {
			return false
		}
		entry := struct {
			fd      int32
			events  int16
			revents int16
		}{int32(fd), events, 0}
		wait := syscall.NsecToTimespec(left.Nanoseconds())
		n, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&entry)), 1, uintptr(unsafe.Pointer(&wait)), 0, 0, 0)
		if errno == 0 && n > 0 {
			return true
		}
		if errno != 0 && errno != syscall.EINTR {
			return false
		}
	}
}

// serveSCTP listens with the kernel's own SCTP, where it has one.
func serveSCTP(token string, port int) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, protocolSCTP)
	if err != nil {
		return err
	}
	if err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port}); err == nil {
		err = syscall.Listen(fd, 64)
	}
	if err != nil {
		return err
	}
	go func() {
		for {
			if c, _, err := syscall.Accept(fd); err == nil {
				syscall.Write(c, []byte(token))
				syscall.Close(c)
			}
		}
	}()
	return nil
}
