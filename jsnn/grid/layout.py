"""Grids over devices: how the trials of a study are spread over them.

A function of one trial becomes a function of many: one after the other, several at once (`vmap`), and each device its
share (`shard_map` along the mesh axis "grid"). Trials do not talk to each other, so a device needs nothing from others.
Where there are fewer trials than devices, these can share the presentations of a batch instead (axis "batch").
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jsnn.core.errors import PeerLost
from jsnn.grid.processes import n_processes

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
        raise RuntimeError("a process joins a job by jsnn.grid.processes.join, not by jax.distributed.initialize alone")
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
    """An array on the host, also where other processes hold parts of it. Raises PeerLost if they are gone."""
    if not isinstance(array, jax.Array) or array.is_fully_addressable:
        return np.asarray(array)
    try:
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # of the connection between them
        raise PeerLost(f"another process of this job is gone ({' '.join(str(error).split())[:200]})") from error
