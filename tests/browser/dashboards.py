"""A dashboard as a person starts it, and a visitor who notes what its page asks for and complains of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

from playwright.sync_api import Browser, Page, expect

PROGRAM = str(Path(sys.executable).with_name("scenestream"))
TOKEN = "a token of sufficient length"  # noqa: S105 - a test's
# A machine shared by many is slow; what is waited for comes much sooner on a quiet one.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


class Dashboard:
    """The dashboard's process; `address` is where its page is. Without a token nobody can sign in."""

    def __init__(
        self, folder: Path, *options: str, environment: Mapping[str, str] | None = None, token: str | None = TOKEN
    ) -> None:
        self._log = folder / "dashboard.log"
        given = {
            **os.environ,
            **({} if token is None else {"SCENESTREAM_DASHBOARD__TOKEN": token}),
            **(environment or {}),
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "dashboard", "--port", "0", *options],
                env=given,
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().removeprefix("dashboard: ").strip()
        if not self.address.startswith("http://127.0.0.1:"):
            self.end()
            raise AssertionError(self._log.read_text())

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def most_megabytes(self) -> float:
        """The most memory that it ever had."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def replay_of(self, log: Path) -> Replay:
        """Return the replay of a log that was asked for on the page, as soon as it reads."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            for child in _children(self._process.pid):
                replay = Replay(child, log)
                if replay.place():
                    return replay
            time.sleep(0.01)
        raise AssertionError(f"nobody reads {log}:\n{self._log.read_text()}")

    def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.end()


class Replay:
    """A replay as the kernel sees it: where it is in its log."""

    def __init__(self, process: int, log: Path) -> None:
        self._process = process
        self._log = log.resolve()

    def place(self) -> int:
        """Return how many bytes of its log were read."""
        place = 0
        with suppress(FileNotFoundError):
            for one in Path(f"/proc/{self._process}/fd").iterdir():
                with suppress(FileNotFoundError):
                    if one.readlink() == self._log:
                        place = int((one.parents[1] / "fdinfo" / one.name).read_text().split()[1])
        return place

    def halt_beyond(self, place: int) -> int:
        """Let it stand still where it is, at or beyond a place in its log; return where that is."""
        deadline = time.monotonic() + 90
        while self.place() < place:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(self._process, signal.SIGSTOP)
        return self.place()

    def go_on(self) -> None:
        os.kill(self._process, signal.SIGCONT)


def _children(process: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == process:
                yield int(folder.name)


class Visit:
    """A tab of its own, with everything it asked for and complained of."""

    def __init__(
        self, browser: Browser, address: str, *, scheme: Literal["light", "dark"] = "light", width: int = 1400
    ) -> None:
        self._context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page: Page = self._context.new_page()
        self.address = address
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, view: str = "") -> Page:
        self.page.goto(f"{self.address}#/{view}")
        self.page.locator("h1").wait_for()
        expect(self.page.locator("#live-words")).not_to_have_text("connecting")
        return self.page

    def sign_in(self, token: str = TOKEN) -> None:
        self.page.get_by_role("button", name="Sign in").first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label("Token").fill(token)
        dialog.get_by_role("button", name="Sign in").click()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()
