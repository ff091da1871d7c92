"""The processes of a job: how they come together, agree, and hear that one of them is gone."""

import contextlib
import ctypes
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import backend

from jsnn.core.errors import InputError
from jsnn.grid import link

_LINKS: list[link.Link] = []  # to the other processes, once this process has joined a job


def on_cluster() -> tuple[str, int, int, list[int] | None]:
    """HOST:PORT of process 0, how many processes there are, which of them this is, and which of its machine's devices
    are its own, by what SLURM, Open MPI or another of JAX's environments say. Raises InputError where there is none.
    """
    from jax._src.clusters import ClusterEnv

    try:
        found = ClusterEnv.auto_detect_unset_distributed_params(
            os.environ.get("JAX_COORDINATOR_ADDRESS"), None, None, None, None, 30
        )
    except Exception as error:  # a variable that is missing, or not what it should be
        raise InputError(f"--distributed: this cluster cannot be read ({error!r}); use --join") from error
    address, n, number, devices = found
    if address is None or n is None or number is None:
        raise InputError("--distributed: this process was started by neither SLURM nor Open MPI; use --join")
    return address, n, number, None if devices is None else list(devices)


def join(
    address: str,
    n: int,
    number: int,
    devices: list[int] | None = None,
    say: Callable[[str], None] = lambda text: None,
    lost: Callable[[str], None] = lambda why: os._exit(3),
    asked: Callable[[str], None] = lambda why: None,
) -> None:
    """Become process `number` of the `n` of a job, on JAX's distributed runtime. Before JAX's first computation.

    Args:
        address: HOST:PORT of process 0, for `jsnn.grid.link`; JAX's own port is chosen then.
        n: how many processes the job has.
        number: which of them this is, from 0.
        devices: which of its machine's devices are its own; by default all.
        say: hears who is waited for.
        lost: has to end this process, as another one has gone: hears why, in a thread of its own.
        asked: hears in process 0 that another one would like to stop.

    Raises:
        InputError: what they say does not agree.
        PeerLost: they did not come together.
    """
    if n == 1:
        return
    job = link.meet(address, n, number, say)
    _LINKS.append(job)
    job.watch(lost, asked)
    # JAX's runtime aborts a process soon after it has lost process 0. An abort sleeps for 6 s here (the number of its
    # signal), in which `lost` ends the process in order.
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal(signal.SIGABRT, ctypes.cast(libc.sleep, ctypes.c_void_p))
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    port = job.from_first(_free_port() if number == 0 else None)
    late = threading.Timer(35.0, lost, [f"JAX's distributed runtime did not start at port {port}"])
    late.daemon = True
    late.start()
    jax.distributed.initialize(f"{address.rsplit(':', 1)[0]}:{port}", n, number, devices, initialization_timeout=60)
    late.cancel()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]


def part() -> None:
    """The work of the job is done: what the first process does now, it does alone; the others end."""
    if _LINKS:
        in_step()
        first = is_first()
        _LINKS.pop().leave()
        with contextlib.suppress(Exception):
            jax.distributed.shutdown()
        if first:
            backend.clear_backends()


def leave(why: str) -> None:
    """Tell the other processes of the job that this one ends before the work is done."""
    for job in _LINKS:
        job.leave(why)


def ask(why: str) -> None:
    """Tell the first process that this one would like to stop."""
    for job in _LINKS:
        job.ask(why)


def process() -> int:
    """Which of the processes of the job this is."""
    return _LINKS[0].number if _LINKS else 0


def n_processes() -> int:
    """How many processes the job has."""
    return _LINKS[0].n if _LINKS else 1


def is_first() -> bool:
    """Whether this process is the one that writes and speaks for the job."""
    return process() == 0


def in_step() -> None:
    """Wait until all processes are here."""
    for job in _LINKS:
        job.in_step()


def from_first(f: Callable[[], Any]) -> Any:
    """What `f` returns (JSON) or which InputError it raises, on the first process: the same on all of them."""
    if not _LINKS:
        return f()
    outcome: Any = None
    if is_first():
        try:
            outcome = {"value": f()}
        except InputError as error:
            outcome = {"error": str(error)}
    outcome = _LINKS[0].from_first(outcome)
    if "error" in outcome:
        raise InputError(outcome["error"])
    return outcome["value"]


def check_same(facts: dict[str, str]) -> None:
    """Raises InputError, on all processes, where one of them has other facts than the first: it names one of them."""
    for job in _LINKS:
        everyone = job.gather(facts)
        from_first(lambda everyone=everyone: _compare(everyone))


def _compare(everyone: list[dict[str, str]]) -> None:
    first = everyone[0]
    for number, facts in enumerate(everyone):
        different = [key for key in sorted(first.keys() | facts.keys()) if first.get(key) != facts.get(key)]
        if different:
            here, there = (str(each.get(different[0], "not set"))[:100] for each in (first, facts))
            more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
            raise InputError(
                f"the processes of this job differ: {different[0]} is {here} in process 0 and {there} in process "
                f"{number}{more}; start all of them with the same command"
            )
