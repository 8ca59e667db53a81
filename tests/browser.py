"""Headless Chromium, driven over a pipe by its DevTools protocol: no package, no driver program."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 20.0  # seconds
# The protocol's pipes are file descriptors 3 and 4.
START = 'exec "$0" "$@" 3<&{} 4>&{}'
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --mute-audio --no-first-run "
    "--disable-extensions --autoplay-policy=no-user-gesture-required --remote-debugging-pipe"
).split()


class Browser:
    """A page in a browser of its own; use it as a context. Skips the test where there is none.

    Args:
        profile: an empty folder.
    """

    def __init__(self, profile: Path, width: int = 1280, height: int = 800):
        binary = next((path for name in NAMES if (path := shutil.which(name))), None)
        if binary is None:
            pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            ["bash", "-c", START.format(theirs_in, theirs_out), binary, *FLAGS,
             f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer, self._number, self._session = b"", 0, ""
        self.problems: list[str] = []
        (target,) = [
            info for info in self.send("Target.getTargets")["targetInfos"] if info["type"] == "page"
        ]
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.resize(width, height)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; what it answers."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            block = os.read(self._in, 1 << 16)
            assert block, "the browser is gone"
            self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\0")
        answer = json.loads(line)
        if answer.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(answer["params"]["exceptionDetails"]))
        if answer.get("method") == "Log.entryAdded":
            self.problems.append(str(answer["params"]["entry"]))
        return answer

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip

    def open(self, address: str) -> None:
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        answer = self.send(
            "Runtime.evaluate",
            expression=script, awaitPromise=True, returnByValue=True, userGesture=True,
        )  # fmt: skip
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """Until an expression is true; its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        """A real click in the middle of what a CSS selector finds first, scrolled into view."""
        x, y = self.run(
            f"(() => {{const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )  # fmt: skip

    def press(self, key: str, code: int, text: str = "") -> None:
        """A real key: its name (DOM), its number, what it writes."""
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key,
                windowsVirtualKeyCode=code, text=text if kind == "keyDown" else "",
            )  # fmt: skip

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
