"""A part's process: it is asked to stop when its time is up, asked again, and then made to. Whatever it does, it costs no
more."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

MOST_SAID = 32 << 20  # bytes of a log; what prints more is ended
TAIL = 20000  # bytes of a log that are kept
LAST_WORDS = 5.0  # seconds for a killed process to be gone: one that waits for a driver may never be


class Running:
    """One that runs: for `seconds` until it is asked to stop, half of `grace` more until it is asked again, and the
    rest of it until it is killed, at `last` at the latest."""

    def __init__(self, argv: list[str], log: Path, environment: dict, seconds: float, grace: float, last: float):
        self.log, self.started = log, time.monotonic()
        self.kill_at = min(self.started + seconds + grace, last)
        # attnfuzz ends the case at hand and writes its reports; the second time it gives up what it waits for, and
        # writes them.
        self.ask_at = [self.started + seconds, (self.started + seconds + self.kill_at) / 2]
        self.killed_at: float | None = None
        self.asked = 0
        self.stopped = self.too_long = self.lost = False
        with log.open("wb") as said:
            self.process = subprocess.Popen(argv, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            env=environment, start_new_session=True)

    def ended(self) -> bool:
        """Whether it is over. Is to be called often."""
        now = time.monotonic()
        if self.process.poll() is not None:
            return True
        if self.killed_at is not None:
            self.lost = now > self.killed_at + LAST_WORDS
        elif self.log.stat().st_size > MOST_SAID:
            self.too_long = True
            self.kill()
        elif now > self.kill_at:
            self.stopped = True
            self.kill()
        elif self.asked < len(self.ask_at) and now > self.ask_at[self.asked]:
            self.stopped = True
            self.asked += 1
            self.process.send_signal(signal.SIGINT)
        return self.lost

    def end_now(self) -> None:
        """Kills it, and waits as long as is worth it."""
        self.stopped = True
        self.kill()
        try:
            self.process.wait(LAST_WORDS)
        except subprocess.TimeoutExpired:
            self.lost = True

    def kill(self) -> None:
        if self.process.poll() is not None:
            return
        self.killed_at = time.monotonic()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def said(self) -> str:
        """The end of what it printed."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL))
            return log.read().decode(errors="replace")

    def last_line(self) -> str:
        line = next((line.strip() for line in reversed(self.said().splitlines()) if line.strip()), "")
        return "".join(letter if letter.isprintable() else "?" for letter in line)

    def ending(self) -> str:
        """How a process that failed ended, in words."""
        if self.lost:
            return "it can't be ended: it waits in the kernel"
        if self.too_long:
            return f"it printed more than {MOST_SAID >> 20} MiB"
        number = self.process.returncode
        if number >= 0:
            return f"exit {number}"
        try:
            return signal.Signals(-number).name
        except ValueError:
            return f"signal {-number}"
