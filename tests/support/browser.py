"""A real browser for tests of pages: headless Chromium, spoken to by its own protocol over two pipes.

No driver and no package is needed: messages are JSON, ended by a zero byte
(chromium, content/browser/devtools/devtools_pipe_handler.cc; ``--remote-debugging-pipe``).
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.requirements import everything_is_required

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 60.0

# The browser reads messages from file 3 and writes them to file 4. Both are moved out of each other's way first.
AS_3_AND_4 = """
import fcntl, os, sys
here, there = (fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, 10) for number in sys.argv[1:3])
os.dup2(here, 3)
os.dup2(there, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def chromium() -> str:
    """The browser's program; skips the test where there is none, and fails it where everything is required."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if everything_is_required():
            pytest.fail("needs Chromium: apt-get install -y chromium")
        pytest.skip("needs Chromium: apt-get install chromium")
    return found


class Browser:
    """One page in a browser.

    Attributes:
        said: errors and warnings of the page's script, of its content security policy, and of the network.
        requested: addresses that were asked for, by the browser's number; without those that a page's policy
            forbade.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", writing: int, reading: int) -> None:
        self._process, self._writing, self._reading = process, writing, reading
        self._rest = b""
        self._number = 0
        self.said: list[str] = []
        self.requested: dict[str, str] = {}
        self._events: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Ask the page's session for something."""
        return self._call(method, self._session, **parameters)

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            ready = select.select([self._reading], [], [], max(0.0, left))[0]
            assert ready, "the browser says nothing"
            data = os.read(self._reading, 1 << 20)
            assert data, "the browser ended"
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        method, told = message.get("method", ""), message.get("params", {})
        self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.said.append(str(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.said.append(str(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.said.append(told["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requested[told["requestId"]] = told["request"]["url"]
        elif method == "Network.loadingFailed" and told.get("blockedReason") == "csp":
            self.requested.pop(told["requestId"], None)

    def open(
        self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False, script: bool = True
    ) -> None:
        """Open a file and wait until it is loaded."""
        self.said.clear()
        self.requested.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self._events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while "Page.loadEventFired" not in self._events:
            self._next()

    def run(self, script: str) -> Any:
        """The value of an expression in the page; works for tests where the page's own script is off too."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a hand would."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key: ``Tab``, ``Enter``, ``Escape``, ``ArrowRight``, a space."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}
        typed = {"Enter": {"text": "\r"}, " ": {"text": " "}}.get(key, {})
        code = "Space" if key == " " else key
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=code,
                windowsVirtualKeyCode=codes[key],
                **(typed if kind == "keyDown" else {}),
            )

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write a PNG of what is seen, or of the whole page."""
        # What was scrolled to is laid out in the next frame, and painted in the one after.
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def external(self) -> list[str]:
        """What was asked for beside the page itself and what it carries."""
        return [url for url in self.requested.values() if not url.startswith(("file:", "data:"))]


@contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """Start the browser with a profile of its own, and end it."""
    to_browser, writing = os.pipe()
    reading, from_browser = os.pipe()
    command = [
        *(sys.executable, "-c", AS_3_AND_4, str(to_browser), str(from_browser), chromium()),
        *("--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"),
        *("--disable-dev-shm-usage", "--disable-background-networking", f"--user-data-dir={folder}"),
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Browser(process, writing, reading)
    finally:
        os.close(writing)
        os.close(reading)
        # It starts many processes; the group is its own.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
