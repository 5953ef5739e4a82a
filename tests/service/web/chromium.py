"""A headless Chromium that is driven through its DevTools protocol: opens pages, presses keys, listens to the console."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import websocket

from tests.report.reading import tool


class Browser:
    """One tab. `said` is what its console said, refusals of the pages' policies among them."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self._number = 0
        self._session = ""
        self.said: list[str] = []
        self._events: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps({**message, "sessionId": self._session} if self._session else message))
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._socket.recv())
        parameters = answer.get("params", {})
        match answer.get("method"):
            case "Log.entryAdded":
                self.said.append(parameters["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.said.append(json.dumps(parameters))
            case str() as event:
                self._events.append(event)
        return answer

    def open(self, url: str) -> None:
        """Go there, until the page is loaded."""
        self._events.clear()
        self._ask("Page.navigate", url=url)
        while "Page.loadEventFired" not in self._events:
            self._receive()

    def tell(self, expression: str) -> Any:
        """The value of an expression in the page, whose own policy does not bind this protocol."""
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)[
            "result"
        ].get("value")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            code = {"Tab": 9, "Enter": 13}[key]
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def clear_events(self) -> None:
        self._events.clear()

    def wait_for(self, event: str) -> None:
        """Until it came since the events were cleared."""
        while event not in self._events:
            self._receive()

    def close(self) -> None:
        self._socket.close()


@contextmanager
def running_browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            tool("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}",
            "--remote-debugging-port=0", "about:blank",
        ]  # fmt: skip
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert process.stderr is not None
        try:
            found = None
            for line in process.stderr:
                if found := re.search(r"DevTools listening on (ws://\S+)", line):
                    break
            assert found, "Chromium opened no debugging port"
            browser = Browser(found[1])
            yield browser
            browser.close()
        finally:
            process.terminate()
            process.wait(30)
            process.stderr.close()
