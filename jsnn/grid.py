"""Grids over hardware: how the trials of a study are spread over devices, and over the processes that own them.

A function of one trial becomes a function of many: one after the other, several at once (`vmap`), and each device its
share (`shard_map` along the mesh axis "grid"). Trials do not talk to each other, so a device needs nothing from others.
Where there are fewer trials than devices, these can share the presentations of a batch instead (axis "batch").
"""

import contextlib
import ctypes
import dataclasses
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.extend import backend
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jsnn import link
from jsnn.errors import Deserted, InputError

WHOLE = -1  # an array without an axis of presentations


def _spec(axis: int) -> PartitionSpec:
    return PartitionSpec() if axis == WHOLE else PartitionSpec(None, *[None] * axis, "batch")


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the trials of a cell are computed: hashable, a static argument of the functions it shapes.

    `at_once`: how many trials a device computes in one go (`vmap`); 1: one after the other. On a CPU several at once
    were measured to be half as fast, for want of cache; on an accelerator they are the whole point.
    """

    devices: tuple[Any, ...]  # jax.Device
    at_once: int = 1
    split: bool = False  # devices share presentations, not trials

    def map(
        self, f: Callable[..., Any], *stacked: Any, shared: tuple[Any, ...] = (), along: Any = WHOLE, out: Any = WHOLE
    ) -> Any:
        """f for each trial: `stacked` trees and the result have a leading axis of trials; f is given the `shared` ones,
        whole, after its trial's own.

        `along` says, for each of `stacked` or of its parts, which axis of one trial the presentations of a batch lie
        along, and `out` that of the result; WHOLE for what has none. If devices share presentations, each is given its
        own.
        """

        def local(shared, *arguments):
            batch = None if self.at_once == 1 else self.at_once
            return jax.lax.map(lambda trial: f(*trial, *shared), arguments, batch_size=batch)

        if len(self.devices) == 1:
            return local(shared, *stacked)
        if self.split:
            ins, outs = jax.tree.map(_spec, (along, out))
            ins = (PartitionSpec(), *(ins if isinstance(ins, tuple) else [ins] * len(stacked)))
            sharded = jax.shard_map(local, mesh=self.mesh, in_specs=ins, out_specs=outs, check_vma=False)
            return sharded(shared, *stacked)
        n = jax.tree.leaves(stacked)[0].shape[0]
        filled = jax.tree.map(lambda leaf: self._fill(leaf, n), stacked)
        grid = PartitionSpec("grid")
        ins = (PartitionSpec(), *[grid] * len(filled))
        sharded = jax.shard_map(local, mesh=self.mesh, in_specs=ins, out_specs=grid, check_vma=False)
        out = sharded(shared, *filled)
        return jax.tree.map(lambda leaf: leaf[:n], out)

    def _fill(self, leaf: Any, n: int) -> Any:
        """The last trial again, until each device has as many."""
        missing = -n % len(self.devices)
        return jnp.concatenate([leaf, *[leaf[-1:]] * missing]) if missing else leaf

    @property
    def mesh(self) -> Mesh:
        """The devices in a row."""
        return Mesh(np.array(self.devices), ("batch" if self.split else "grid",))

    def put(self, tree: Any) -> Any:
        """The arrays of a tree, whole, on each of the devices."""
        whole = NamedSharding(self.mesh, PartitionSpec())
        if jax.process_count() == 1:
            return jax.device_put(tree, whole)
        return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, whole, lambda place: x[place]), tree)


def layouts(n_trials: int, n_cells: int, batch: int = 1) -> list[Layout]:
    """A layout for each of the cells of a lane, of `n_trials` each.

    Trials are sharded over all devices, or each cell is given one of them, whichever leaves fewer devices idle. If that
    leaves half of them idle, and presentations learn on their own in batches of `batch`, these are sharded.
    Several processes have to do the same: they shard trials.
    """
    if jax.process_count() != n_processes():
        raise RuntimeError("a process joins a job by jsnn.grid.join, not by jax.distributed.initialize alone")
    devices = tuple(jax.devices())
    at_once = 1 if on_cpu() else n_trials
    if jax.process_count() > 1:
        return [Layout(devices, at_once)] * n_cells
    if max(_busy(n_cells, len(devices)), _busy(n_trials, len(devices))) <= 0.5 and batch % len(devices) == 0:
        return [Layout(devices, at_once, split=True)] * n_cells
    if _busy(n_cells, len(devices)) > _busy(n_trials, len(devices)):
        return [Layout((devices[c % len(devices)],), at_once) for c in range(n_cells)]
    return [Layout(devices[:n_trials], at_once)] * n_cells


def on_cpu() -> bool:
    """Whether the devices are CPUs."""
    return jax.default_backend() == "cpu"


def _busy(n: int, n_devices: int) -> float:
    """The fraction of the time that devices work on n equal pieces of work."""
    return n / (n_devices * -(-n // n_devices))


def fetch(array: Any) -> np.ndarray:
    """An array on the host, also where other processes hold parts of it. Raises Deserted if they are gone."""
    if not isinstance(array, jax.Array) or array.is_fully_addressable:
        return np.asarray(array)
    try:
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # of the connection between them
        raise Deserted(f"another process of this job is gone ({' '.join(str(error).split())[:200]})") from error


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
        address: HOST:PORT of process 0, for `jsnn.link`; JAX's own port is chosen then.
        n: how many processes the job has.
        number: which of them this is, from 0.
        devices: which of its machine's devices are its own; by default all.
        say: hears who is waited for.
        lost: has to end this process, as another one has gone: hears why, in a thread of its own.
        asked: hears in process 0 that another one would like to stop.

    Raises:
        InputError: what they say does not agree.
        Deserted: they did not come together.
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


def keep_memory() -> None:
    """Keep what XLA frees instead of giving it back to the system (glibc; elsewhere without effect).

    On a CPU each call of a compiled program allots its arrays anew, and the system would clear every page of them: a
    quarter of the time of a gradient through 500 steps. The process stays as large as it once was.
    """
    # mallopt(3): 2 GiB may be free; large blocks come from the heap as well; the heaps of threads, which are always
    # given back, are not used. An arena there is already stays, so this has to come before JAX's first computation.
    trim_threshold, mmap_max, arena_max = -1, -4, -8
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(arena_max, 1)
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


def use_cores(n: int) -> None:
    """Make `n` devices of this machine's CPU, each of one thread, so that a grid can use all cores.

    Before JAX's first computation; without effect where XLA_FLAGS already says how many, or for a single device
    (whose products then use all cores).
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if n > 1 and "xla_force_host_platform_device_count" not in flags:
        own = f"--xla_force_host_platform_device_count={n} --xla_cpu_multi_thread_eigen=false"
        os.environ["XLA_FLAGS"] = f"{flags} {own}".strip()
