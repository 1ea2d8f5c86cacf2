"""A headless Chromium on a pipe (Chrome DevTools protocol): real mouse and key events, no further package."""

import itertools
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--window-size=1180,1400")


class Page:
    """One open page."""

    def __init__(self, write: int, read: int):
        self.write, self.read, self.buffer, self.numbers, self.session = write, read, b"", itertools.count(1), None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def ask(self, method, **parameters):
        """Send a command and return its result."""
        message = {"id": next(self.numbers), "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != message["id"]:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def run(self, script):
        """Evaluate JavaScript and return its value."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def open(self, file: Path):
        """Show a file, and wait until it is there."""
        self.ask("Page.navigate", url=file.as_uri())
        while self.run("document.readyState") != "complete" or self.run("location.protocol") != "file:":
            pass

    def drag(self, element, share):
        """Drag the handle of a slider to a share of its width."""
        self.run(f"document.getElementById('{element}').scrollIntoView({{block: 'center'}})")
        script = "const b = s.getBoundingClientRect(), at = (s.value - s.min) / (s.max - s.min);"
        script += "return [b.x, b.y, b.width, b.height, at]"
        box = self.run(f"(s => {{ {script} }})(document.getElementById('{element}'))")
        x = lambda part: box[0] + 8 + part * (box[2] - 16)  # noqa: E731
        y = box[1] + box[3] / 2
        for kind, at in (("mousePressed", box[4]), ("mouseMoved", (box[4] + share) / 2), ("mouseMoved", share),
                         ("mouseReleased", share)):  # fmt: skip
            self.ask("Input.dispatchMouseEvent", type=kind, x=x(at), y=y, button="left", buttons=1, clickCount=1)

    def click(self, element):
        """Click on an element."""
        box = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])"
                       f"(document.getElementById('{element}').getBoundingClientRect())")  # fmt: skip
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def text(self, element):
        """Return what an element says."""
        return self.run(f"document.getElementById('{element}').textContent")

    def _next(self):
        while b"\0" not in self.buffer:
            got = os.read(self.read, 1 << 16)
            assert got, "the browser is gone"
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)


@contextmanager
def browser(profile: Path):
    """Start a browser with a profile of its own; it ends with the block."""
    to_browser, from_browser = os.pipe(), os.pipe()
    ends = (to_browser[0], from_browser[1])
    # Chromium reads from descriptor 3 and writes to 4; a shell puts them there, as Python would have to fork.
    shell = ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash"]
    command = [*shell, CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(command, pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for end in ends:
        os.close(end)
    page = Page(to_browser[1], from_browser[0])
    try:
        yield page
    finally:
        page.session = None
        page.ask("Browser.close")
        process.wait(timeout=30)
        os.close(to_browser[1])
        os.close(from_browser[0])
