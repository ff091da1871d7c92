"""The processes of one job: they meet, tell each other things, and notice at once when one of them is gone.

Plain sockets between process 0 and each of the others, apart from JAX's distributed runtime, which ends a process by an
abort where another one is gone, minutes later or without a word. A message is a line of JSON.
"""

import contextlib
import json
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from jsnn.core.errors import InputError, PeerLost

TOGETHER = 40.0  # seconds in which all processes have to come
BEAT, SILENCE = 2.0, 30.0  # seconds between signs of life; without one for so long, a process counts as gone
PATIENCE = 1.0  # seconds in which this process may end by what it knows itself, after another one has ended
LONGEST = 2000  # bytes of a first message
HELLO = "jsnn job, 1"  # what only a process of a job says; the number is that of the messages' form


class Peer:
    """The other end of a connection: whole messages to it and from it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(SILENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.unread, self.lock = connection, b"", threading.Lock()
        self.heard = time.monotonic()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; a connection that is broken is noticed by who reads from it."""
        with self.lock, contextlib.suppress(OSError):
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def beat(self) -> None:
        """Give a sign of life, unless a message is being sent at the moment."""
        if self.lock.acquire(blocking=False):
            with contextlib.suppress(OSError):
                self.socket.send(b'{"beat": 1}\n')
            self.lock.release()

    def read(self) -> list[dict[str, Any]] | None:
        """The messages that have come, once there is something to read; None at the end of the connection."""
        try:
            more = self.socket.recv(1 << 20)
        except OSError:
            return None
        *lines, self.unread = (self.unread + more).split(b"\n")
        self.heard = time.monotonic()
        try:
            return [dict(json.loads(line)) for line in lines] if more else None
        except (ValueError, TypeError, RecursionError):  # no process of ours
            return None

    def first(self, seconds: float) -> dict[str, Any]:
        """The first message that comes within so many seconds; an empty one if none of a process of ours does."""
        deadline, line = time.monotonic() + seconds, b""
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            while not line.endswith(b"\n") and len(line) < LONGEST:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                    return {}
                byte = self.socket.recv(1)  # what comes after the message is for `read`
                if not byte:
                    return {}
                line += byte
            return dict(json.loads(line))
        return {}


class Link:
    """The connections of one process: of process 0 to all others, of the others to process 0."""

    def __init__(self, number: int, peers: dict[int, Peer]) -> None:
        self.number, self.peers, self.n = number, peers, len(peers) + 1
        self.values: dict[int, queue.SimpleQueue[Any]] = {p: queue.SimpleQueue() for p in peers}
        self.left, self.done = False, set[int]()

    def watch(self, lost: Callable[[str], None], asked: Callable[[str], None]) -> None:
        """Listen, in a thread of its own, from now on. `lost(why)` hears that the job has lost a process and should end
        this one; `asked(why)` that a process would like to stop.
        """

        def attend() -> None:
            beaten = time.monotonic()
            for peer in self.peers.values():
                peer.heard = beaten
            while not self.left:
                sockets = {peer.socket: p for p, peer in self.peers.items() if p not in self.done}
                for ready in select.select(list(sockets), [], [], 0.5)[0]:
                    self._hear(sockets[ready], lost, asked)
                now = time.monotonic()
                for p, peer in self.peers.items():
                    if now - peer.heard > SILENCE and p not in self.done:
                        self._end(f"process {p} of this job has not been heard of for {SILENCE:.0f} s", lost)
                if now - beaten > BEAT:
                    beaten = now
                    for peer in self.peers.values():
                        peer.beat()
            for peer in self.peers.values():
                peer.socket.close()

        threading.Thread(target=attend, daemon=True, name="jsnn-link").start()

    def _hear(self, p: int, lost: Callable[[str], None], asked: Callable[[str], None]) -> None:
        messages = self.peers[p].read()
        if messages is None:
            self._end(f"process {p} of this job is gone", lost)
            return
        for message in messages:
            if "value" in message:
                self.values[p].put(message["value"])
            elif "asked" in message:
                asked(str(message["asked"]))
            elif "done" in message:
                self.done.add(p)
            elif "ended" in message:
                time.sleep(PATIENCE)
                self._end(str(message["ended"]), lost)

    def _end(self, why: str, lost: Callable[[str], None]) -> None:
        if not self.left:
            self.leave(why)
            lost(why)

    def ask(self, why: str) -> None:
        """Tell process 0 that this one would like to stop."""
        if self.number:
            self.peers[0].send({"asked": why})

    def gather(self, value: Any) -> list[Any]:
        """The values (JSON) of all processes, in order, on process 0; nothing on the others."""
        if self.number:
            self.peers[0].send({"value": value})
            return []
        return [value, *(self.values[p].get() for p in range(1, self.n))]

    def from_first(self, value: Any) -> Any:
        """The value (JSON) of process 0, on all of them."""
        if self.number:
            return self.values[0].get()
        for peer in self.peers.values():
            peer.send({"value": value})
        return value

    def in_step(self) -> None:
        """Wait until all processes are here."""
        self.gather(None)
        self.from_first(None)

    def leave(self, why: str | None = None) -> None:
        """Hear of the others no more; they hear that the work is done, or why this process ends before."""
        self.left = True
        for peer in self.peers.values():
            peer.send({"done": 1} if why is None else {"ended": why})


def meet(address: str, n: int, number: int, say: Callable[[str], None], seconds: float = TOGETHER) -> Link:
    """Meet the other processes of a job at the HOST:PORT of process 0, which listens there.

    Args:
        address: HOST:PORT of process 0.
        n: how many processes the job has.
        number: which of them this is, from 0.
        say: hears, now and then, who is being waited for.
        seconds: how long all of them may take to come.

    Raises:
        InputError: a number is given twice, or the processes do not agree on how many they are.
        PeerLost: the port is in use, or not all came, or one that came has gone.
    """
    host, port = address.rsplit(":", 1)
    host, deadline = host.strip("[]"), time.monotonic() + seconds
    if number:
        return Link(number, {0: _find(host, int(port), n, number, say, deadline)})
    peers = _receive(int(port), n, say, deadline)
    for peer in peers.values():
        peer.send({"welcome": n})
    return Link(0, peers)


def _listen(port: int) -> socket.socket:
    try:
        if socket.has_dualstack_ipv6():
            with contextlib.suppress(OSError):
                return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except (OSError, OverflowError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise PeerLost(f"process 0 cannot listen on port {port}: {why}; give all of them another port") from None


def _receive(port: int, n: int, say: Callable[[str], None], deadline: float) -> dict[int, Peer]:
    """Process 0 waits for the others."""
    peers: dict[int, Peer] = {}
    with _listen(port) as server:
        saying = _every(10.0, say)
        while len(peers) < n - 1:
            missing = ", ".join(str(p) for p in range(1, n) if p not in peers)
            if time.monotonic() > deadline:
                raise _failed(peers, PeerLost(f"process {missing} of {n} did not come within {TOGETHER:.0f} s"))
            saying(f"waiting for {n - 1 - len(peers)} of {n} processes: {missing}")
            sockets = {peer.socket: p for p, peer in peers.items()}
            for ready in select.select([server, *sockets], [], [], 0.2)[0]:
                if ready is server:
                    _admit(Peer(server.accept()[0]), peers, n)
                elif peers[sockets[ready]].read() is None:
                    peers.pop(sockets[ready]).socket.close()
                    raise _failed(peers, PeerLost(f"process {sockets[ready]} of this job is gone"))
    return peers


def _admit(newcomer: Peer, peers: dict[int, Peer], n: int) -> None:
    """Take in who has come to process 0, if it is one of the job."""
    hello = newcomer.first(2.0)
    number, its_n = hello.get("number"), hello.get("n")
    if hello.get("hello") != HELLO or not isinstance(number, int):
        newcomer.socket.close()  # a stranger
    elif its_n != n:
        more = InputError(f"process {number} of this job says that they are {its_n}, process 0 that they are {n}")
        raise _failed(peers | {number: newcomer}, more)
    elif number in peers:
        peers |= {-1: newcomer}
        raise _failed(peers, InputError(f"two processes of this job say that they are number {number} of {n}"))
    else:
        peers[number] = newcomer


def _failed(peers: dict[int, Peer], error: Exception) -> Exception:
    """The error, of which the other processes have been told."""
    for peer in peers.values():
        peer.send({"refused" if isinstance(error, InputError) else "ended": str(error)})
        peer.socket.close()
    return error


def _every(seconds: float, say: Callable[[str], None]) -> Callable[[str], None]:
    """Say what is said so often only once in so many seconds, and nothing in the first two."""
    last = time.monotonic() + 2.0 - seconds

    def saying(text: str) -> None:
        nonlocal last
        if time.monotonic() - last > seconds:
            last = time.monotonic()
            say(text)

    return saying


def _find(host: str, port: int, n: int, number: int, say: Callable[[str], None], deadline: float) -> Peer:
    """Another process looks for process 0, and waits until all are there; what answers may be another program."""
    where, saying = f"process 0 at {host}:{port}", _every(10.0, say)
    while time.monotonic() < deadline:
        saying(f"waiting for {where}")
        try:
            peer = Peer(socket.create_connection((host, port), timeout=2.0))
        except socket.gaierror as error:
            raise InputError(f"{host}: {error.strerror}; HOST should be where process 0 runs") from None
        except OSError:
            time.sleep(0.2)
            continue
        peer.send({"hello": HELLO, "n": n, "number": number})
        answer = peer.first(deadline + 5.0 - time.monotonic())
        if "welcome" in answer:
            return peer
        peer.socket.close()
        if "refused" in answer:
            raise InputError(str(answer["refused"]))
        if "ended" in answer:
            raise PeerLost(str(answer["ended"]))
        time.sleep(0.2)
    raise PeerLost(f"there was no answer from {where} within {TOGETHER:.0f} s")
