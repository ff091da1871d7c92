"""How the cells of a lane are trained by local plasticity: by which engine, on which devices, in which blocks."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn.core.errors import InputError
from jsnn.engines import Engine, Online, ahead, event, sparse, stimulus
from jsnn.engines.ahead import Ahead
from jsnn.engines.batch import Batch
from jsnn.engines.dense import Dense
from jsnn.engines.event import Event
from jsnn.engines.sparse import Sparse
from jsnn.engines.stimulus import Inputs, Rasters
from jsnn.grid.groups import Cell, Lane, LaneState, Trial, Way, take
from jsnn.grid.layout import WHOLE, Layout, layouts, on_cpu
from jsnn.learners.plasticity import trial
from jsnn.networks.competitive import CompetitiveNetwork, Learned

BLOCK = 256  # presentations that are encoded at once, over all trials of a cell
CHUNK = 16  # trials that an accelerator computes at once, if not all
EVAL_BATCH = 64  # presentations that a frozen network answers at once
PRESENTATIONS = Rasters(active=1, spikes=1, pixels=1)  # type: ignore[arg-type]  # the axes along which they lie
EVENT, SPARSE, DENSE = Event(segment=25, min_neurons=128), Sparse(), Dense()
AHEAD = Ahead(capacity=16, larger=Ahead(capacity=128))
ENGINES: dict[str, Online] = {"event": EVENT, "ahead": AHEAD, "sparse": SPARSE, "dense": DENSE}


def footprint(lane: Lane) -> int:
    """Bytes that a lane needs at least: a block of rasters, the drive of a batch of answers, the weights."""
    inputs, n_trials = lane.inputs, len(lane.cells[0].index)
    n_steps = inputs.n_steps + inputs.rest
    networks = [cell.trials.network for cell in lane.cells]
    n_input, n_neurons = networks[0].n_input, max(network.n_neurons for network in networks)
    rasters = max(BLOCK, n_trials * max(inputs.batch_size, EVAL_BATCH)) * n_steps * n_input
    drive = 4 * EVAL_BATCH * n_steps * (n_input + n_neurons)
    return rasters + drive + 4 * n_trials * n_input * sum(network.n_neurons for network in networks)


def without(trials: Trial, *parts: str) -> Trial:
    """Trials without their encoder (unless it may be asked to show an image again) and some parts of their network, for
    a computation that does not read them: all cells that differ in nothing else then share its program."""
    network, inputs = dataclasses.replace(trials.network, **dict.fromkeys(parts)), trials.inputs
    inputs = dataclasses.replace(inputs, encoder=None if inputs.again is None else inputs.encoder)
    return dataclasses.replace(trials, inputs=inputs, network=network)


def _init(layout: Layout, trials: Trial) -> Learned:
    return layout.map(trial.init, trials)


def _encode(
    layout: Layout, inputs: Inputs, purpose: Array, images: Array, index: Array, first: Array, n_active: int
) -> Rasters:
    def one(inputs, index, number):
        return stimulus.encode(inputs, purpose, images, index, number, n_active)

    number = numbers(index, first)
    return layout.map(one, inputs, index, number, along=(WHOLE, 1, 1), out=PRESENTATIONS)


def _train(
    layout: Layout,
    trials: Trial,
    learned: Learned,
    rasters: Rasters,
    index: Array,
    first: Array,
    engine: Engine,
) -> tuple[Learned, Array]:
    n_shown = jnp.sum(jnp.any(index[0] >= 0, axis=1))

    def one(t, x, s, i, number):
        return trial.train(t, x, s, i, number, first, n_shown, engine)

    along = WHOLE, WHOLE, PRESENTATIONS, 1, 1
    return layout.map(one, trials, learned, rasters, index, numbers(index, first), along=along, out=(WHOLE, 1))


def numbers(index: Array, first: Array) -> Array:
    """The numbers, in their stream, of the presentations `index` [n_trials, n_batches, batch] of each trial."""
    return jnp.broadcast_to(first + jnp.arange(index[0].size).reshape(index[0].shape), index.shape)


def train_block(
    way: Way, where: Layout, cell: Cell, learned: Learned, rasters: Rasters, index: np.ndarray, first: int
) -> tuple[Learned, Array]:
    """What the trials of a cell learn from a block, and their counts [n_trials, n_batches, batch, n_neurons]."""
    layout = dataclasses.replace(where, at_once=way.at_once)
    engine = engine_of(way, cell.trials, axis="batch" if layout.split else None)
    return jax.jit(_train, static_argnums=(0, 6))(layout, without(cell.trials), learned, rasters, index, first, engine)


def engine_of(way: Way, trials: Trial, axis: str | None = None) -> Engine:
    """The engine of a way, for the batches of these trials; `axis` as in `jsnn.engines.batch.Batch`."""
    online = ENGINES[way.engine]
    return Batch(online, axis) if own_batch(trials) > 1 else online


def in_lockstep(trials: Trial) -> bool:
    """Whether presentations meet in every step: they need one device, and the dense engine."""
    return trials.network.lockstep and trials.inputs.batch_size > 1


def own_batch(trials: Trial) -> int:
    """How many presentations of a batch learn on their own."""
    return 1 if in_lockstep(trials) else trials.inputs.batch_size


def where_of(lane: Lane) -> list[Layout]:
    """A layout for each of the cells, to be trained."""
    shared = [own_batch(cell.trials) for cell in lane.cells]
    return layouts(len(lane.cells[0].index), len(lane.cells), math.gcd(*shared))


def encoder_of(where: Sequence[Layout]) -> Layout:
    """Where rasters are drawn: with the first cell, or on an idle device if all cells are on one."""
    busy = {device for layout in where for device in layout.devices}
    idle = [device for device in jax.devices() if device not in busy]
    if len(busy) == 1 and idle and jax.process_count() == 1:
        return dataclasses.replace(where[0], devices=(idle[0],))
    return where[0]


def encoded(by: Layout, where: Sequence[Layout], *arguments: Any) -> dict[Layout, Rasters]:
    """The rasters of a block, drawn once, on the devices of `by`, and put where the cells are."""
    rasters = jax.jit(_encode, static_argnums=(0, 6))(by, *arguments)
    return {layout: rasters if layout == by else layout.put(rasters) for layout in dict.fromkeys(where)}


def refusals(cell: Cell) -> dict[str, str]:
    """The engines that cannot train a cell, and why."""
    if in_lockstep(cell.trials):
        batch = cell.trials.inputs.batch_size
        return dict.fromkeys(("event", "sparse", "ahead"), f"it learns from batches of {batch} in lockstep")
    refused = {}
    for network in different(cell):
        reasons = {
            "event": event.refusal(network),
            "sparse": sparse.refusal(network),
            "ahead": ahead.refusal(network),
        }
        refused |= {engine: why for engine, why in reasons.items() if why is not None}
    return refused


def different(cell: Cell) -> list[CompetitiveNetwork]:
    """The networks of a cell: one of those with the same numbers in what engines may refuse, a rule or inhibition."""
    network = cell.trials.network
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves((network.inhibition, network.rule))]
    firsts = {tuple(leaf[g].tobytes() for leaf in leaves): g for g in reversed(range(len(cell.index)))}
    return [take(network, g) for g in sorted(firsts.values())]


def ways(cell: Cell, engine: str = "auto", grid: str | int = "auto") -> list[Way]:
    """The ways there are to train a cell, the one that is most often the fastest first.

    `engine` and `grid` ("map": one trial after the other, "vmap": all at once, or so many) leave only some of them.
    Raises InputError for an engine that cannot train the cell.
    """
    why_not = refusals(cell) if engine != "dense" else {}
    if engine in why_not:
        raise InputError(f'run.engine = "{engine}": {why_not[engine]}; choose "dense" or "auto"')
    engines = [name for name in ENGINES if name not in why_not]
    if engine == "auto" and "event" in engines:
        engines.remove("ahead")  # they are for the same networks, and where both can, the event engine is faster
    n_trials = len(cell.index)
    if isinstance(grid, int):
        at_once = [min(grid, n_trials)]
    else:
        some = {1, n_trials} if on_cpu() else {1, min(CHUNK, n_trials), n_trials}
        at_once = {"map": [1], "vmap": [n_trials], "auto": sorted(some, reverse=not on_cpu())}[grid]
    return [Way(e, k) for e in engines if engine in ("auto", e) for k in at_once]


def start(lane: Lane, n_classes: int) -> LaneState:
    """Untrained networks, for data of so many classes."""
    n_trials = len(lane.cells[0].index)
    learned = tuple(
        jax.jit(_init, static_argnums=0)(layout, without(cell.trials, "rule", "inhibition"))
        for layout, cell in zip(where_of(lane), lane.cells, strict=True)
    )
    return LaneState(
        learned=learned,
        labels=tuple(np.full(x.theta.shape, -1, np.int32) for x in learned),
        responses=tuple(np.zeros((n_trials, n_classes, x.theta.shape[1]), np.float32) for x in learned),
        curves=[[[] for _ in range(n_trials)] for _ in lane.cells],
        timed=[(0, 0.0) for _ in lane.cells],
        ways=tuple(ways(cell)[0] for cell in lane.cells),
    )


def batches_of(lane: Lane) -> int:
    """How many batches of each trial are a block."""
    return max(1, BLOCK // (lane.inputs.batch_size * len(lane.cells[0].index)))


def blocks(index: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Cut [n_trials, n] into blocks [n_trials, size], the last one filled up with -1."""
    for i in range(0, index.shape[1], size):
        part = index[:, i : i + size]
        yield np.pad(part, ((0, 0), (0, size - part.shape[1])), constant_values=-1)
