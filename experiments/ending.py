"""How a command ends: by itself, by a signal, with the other processes of its job; in each case by one line.

    0 done    1 a defect of ours    2 bad input    3 another process of the job has stopped
    128 + the number of the signal: 130 SIGINT (Ctrl-C), 143 SIGTERM, 138 SIGUSR1, 129 SIGHUP

A signal ends a command at once, wherever it is; Python's own way, an exception in the main thread, has to wait for XLA
to compile, and is lost in callbacks. While networks are trained (`Console`), the command is given some seconds: it
looks at `STOP.asked` after each block, and its last finished window is saved. A second Ctrl-C ends it at once.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from jsnn.core.errors import InputError, PeerLost
from jsnn.core.text import plain

CODES = (
    "Exit code: 0 done, 2 bad input, 3 another process of the job has stopped; after a signal 128 and its number (130 "
    "Ctrl-C, 143 SIGTERM, 138 SIGUSR1, 129 SIGHUP): the last finished window is saved before; 1 a defect of ours."
)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
SHORT, LONG = 1.0, 20.0  # seconds until a command that looks at `asked` is ended nevertheless: nothing to save, or some


class Stop:
    """Who has asked this process to stop, and what it does about that."""

    def __init__(self) -> None:
        self.signal: int | None = None  # the one that came first
        self.asked: str | None = None  # why this process, or another of its job, should stop
        self.patience = 0.0  # seconds in which the main thread will look at `asked` and end
        self.unwinds = False  # whether a signal is a KeyboardInterrupt in the main thread
        self.hint = ""  # what the last line recommends
        self.ending = threading.Lock()

    def line(self, saved: str = "") -> str:
        """The last line of a command that was asked to stop."""
        number = signal.Signals(self.signal or signal.SIGINT)
        what = "interrupted" if number == signal.SIGINT else f"stopped by {number.name}"
        return ", ".join(part for part in (saved, what) if part) + self.hint

    @property
    def code(self) -> int:
        """The exit code of a command that was stopped by a signal."""
        return 128 + (self.signal or signal.SIGINT)


STOP = Stop()


def end(line: str, code: int) -> None:
    """Say the last line, tell the other processes of the job, and end this one at once: no exception, no handlers at
    exit, which would wait for the others. Whoever comes second waits for the first.
    """
    if not STOP.ending.acquire(blocking=False):
        time.sleep(60)
    flush = threading.Thread(target=_flush, daemon=True)
    flush.start()
    flush.join(1.0)  # who reads from us may have stopped reading
    with contextlib.suppress(OSError):
        if os.isatty(1):
            os.write(1, b"\x1b[?25h")  # the cursor, which a live table hides
        if line:
            start = b"\r\x1b[K" if os.isatty(2) else b""
            os.write(2, start + plain(line).encode(sys.stderr.encoding or "utf-8", "jsnn.ascii") + b"\n")
    if (grid := _job()) is not None:
        why = line.removeprefix("error: ") or "a defect"
        grid.leave(f"process {grid.process()} of this job has stopped ({why})")
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def lost(why: str) -> None:
    """End because the job has lost a process."""
    end(f"error: {why}; start all with --resume", 3)


def asked(why: str) -> None:
    """Another process of the job would like to stop: so do all."""
    STOP.asked = STOP.asked or why


def listen() -> None:
    """Have signals end this process as the module says, but for those that are ignored, as by nohup or in a shell's
    background jobs. A thread waits for them: the main thread may be inside XLA.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _unwind)
    threading.Thread(target=_attend, args=(reader,), daemon=True, name="signals").start()


def _unwind(number: int, *_: object) -> None:
    if STOP.unwinds:
        STOP.signal = STOP.signal or number
        raise KeyboardInterrupt


def _attend(reader: int) -> None:
    came: list[int] = []
    while not came:
        came = [number for number in os.read(reader, 1) if number in SIGNALS]
    STOP.signal = came.pop()
    STOP.asked = _ask()
    deadline = time.monotonic() + STOP.patience
    while signal.SIGINT not in came and select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        came += os.read(reader, 64)  # a cluster may send a signal twice; a user who does means it
    end(STOP.line(), STOP.code)


def _ask() -> str:
    """Tell the first process of the job, which tells all when to stop."""
    why = f"stopped by {signal.Signals(STOP.signal or 0).name}"
    if (grid := _job()) is not None:
        why = f"process {grid.process()} of this job was {why}"
        grid.ask(why)
    return why


def run(main: Callable[[], None], hint: str = "", unwinds: bool = False) -> None:
    """Run a command to its end.

    Args:
        main: the command.
        hint: what its last line recommends after a signal.
        unwinds: whether a signal is a KeyboardInterrupt in the main thread, for a command that has children to end and
            nothing long to compile.
    """
    STOP.hint, STOP.unwinds, STOP.patience = hint, unwinds, LONG if unwinds else 0.0
    listen()
    try:
        main()
        return
    except InputError as error:
        line, code = f"error: {plain(' '.join(str(error).split()))}", 2
    except KeyboardInterrupt as stop:
        if STOP.signal is None and STOP.asked is not None:
            saved = f"{stop}, " if str(stop) else ""
            line, code = f"error: {saved}{STOP.asked}; start all with --resume", 3
        else:
            line, code = STOP.line(str(stop)), STOP.code
    except PeerLost as error:
        time.sleep(2.0)  # who watches the connections may know better
        line, code = f"error: {error}; start all with --resume", 3
    except Exception:
        if _job() is None:
            raise
        traceback.print_exc()
        line, code = "", 1
    if STOP.signal is None and _job() is None:
        print(line, file=sys.stderr)
        sys.exit(code)
    end(line, code)


def _job() -> Any:
    """`jsnn.grid.processes`, if this process has joined a job; importing it here would wait for the main thread to do
    so.
    """
    grid = sys.modules.get("jsnn.grid.processes")
    return grid if getattr(grid, "_LINKS", None) else None
