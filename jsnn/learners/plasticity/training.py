"""Training: a lane from window to window, and what its networks answer meanwhile.

for each block    encode -> learn -> look at the counts       (of three blocks at a time, one behind the other)
for each window   a point of the curve, labels for the next one; then the state may be saved
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn import readouts
from jsnn.data import Dataset
from jsnn.engines import stimulus
from jsnn.engines.stimulus import TRAIN, Inputs, Rasters
from jsnn.grid.groups import Lane, LaneState, Schedule
from jsnn.grid.layout import Layout, fetch
from jsnn.learners.plasticity import plans, soundness
from jsnn.networks.competitive import Learned

T = TypeVar("T")


def _order(layout: Layout, inputs: Inputs, epoch: Array, n: int) -> Array:
    return layout.map(lambda i: stimulus.order(i, epoch, n), inputs)


def training_order(where: Layout, inputs: Inputs, epoch: int, n: int) -> np.ndarray:
    """The order of the n training images in an epoch, int32[n_trials, n]."""
    return fetch(jax.jit(_order, static_argnums=(0, 3))(where, inputs, epoch, n))


@dataclasses.dataclass(frozen=True)
class Block:
    """What is shown next: a part of a window."""

    index: np.ndarray  # int32[n_trials, n_batches, batch]: which images; -1: none
    first: int  # number of its first presentation
    shown: np.ndarray | None  # int32[n_trials, n]: the images of the window that it ends, or None


def window_size(schedule: Schedule, batch: int) -> int:
    """Images of a window: whole batches."""
    size = -(-schedule.n_train // schedule.windows)
    return -(-size // batch) * batch


def n_windows(lane: Lane, schedule: Schedule) -> int:
    """Of the whole training."""
    return schedule.epochs * -(-schedule.n_train // window_size(schedule, lane.inputs.batch_size))


def _schedule(lane: Lane, schedule: Schedule, by: Layout, window: int) -> Iterator[Block]:
    """All blocks from a window on to the end of the schedule; `by` draws the order of the images."""
    inputs, n_trials = lane.inputs, len(lane.cells[0].index)
    batch, n_batches, n = inputs.batch_size, plans.batches_of(lane), schedule.n_train
    size = window_size(schedule, batch)
    per_epoch = -(-n // size)
    for epoch in range(window // per_epoch, schedule.epochs):
        order = training_order(by, inputs, epoch, n)
        for w in range(window - epoch * per_epoch, per_epoch):
            shown = order[:, w * size : (w + 1) * size]
            parts = list(plans.blocks(shown, n_batches * batch))
            for k, part in enumerate(parts):
                yield Block(
                    index=part.reshape(n_trials, n_batches, batch),
                    first=epoch * n + w * size + k * n_batches * batch,
                    shown=shown if k == len(parts) - 1 else None,
                )
        window = (epoch + 1) * per_epoch


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made before the one before it is used."""
    made = list(itertools.islice(items, 1))
    while made:
        following = list(itertools.islice(items, 1))
        yield made[0]
        made = following


def train(
    lane: Lane,
    data: Dataset,
    schedule: Schedule,
    state: LaneState,
    on_progress: Callable[[int], None],
    on_window: Callable[[LaneState], None],
) -> LaneState:
    """Train a lane from `state` to the end of the schedule.

    `on_progress(n)` hears of n more presentations (of one network); `on_window(state)` may save the state. Devices
    never wait: each block is encoded while the one before it is learned from, on another device if one is idle, and
    learned from before the answers to the one before it are looked at.

    Raises InputError for networks that have run away: it says by which presentation, and which numbers did it.
    """
    begin, n_trials, where = state, len(lane.cells[0].index), plans.where_of(lane)
    by = plans.encoder_of(where)
    images = by.put(data.train_images[: schedule.n_train])
    n_active = stimulus.most_active(data.train_images[: schedule.n_train])

    def with_rasters(block: Block) -> tuple[Block, dict[Layout, Rasters]]:
        return block, plans.encoded(by, where, lane.inputs, TRAIN, images, block.index, block.first, n_active)

    def trained() -> Iterator[tuple[Block, tuple[Learned, ...], list[Array], list[Array]]]:
        learned = list(begin.learned)
        if len({layout.devices for layout in where}) > 1:
            learned = [layout.put(x) for layout, x in zip(where, learned, strict=True)]
        for block, rasters in _ahead(map(with_rasters, _schedule(lane, schedule, by, begin.window))):
            counts, sound = [], []
            for c, (cell, way) in enumerate(zip(lane.cells, begin.ways, strict=True)):
                learned[c], out = plans.train_block(
                    way, where[c], cell, learned[c], rasters[where[c]], block.index, block.first
                )
                counts.append(out)
                sound.append(soundness.look(where[c], cell, learned[c]))
            yield block, tuple(learned), counts, sound

    counts, since = [[] for _ in lane.cells], None
    for block, learned, outs, sound in _ahead(trained()):
        shown = int(np.sum(block.index[0] >= 0))
        for cell, found in zip(lane.cells, sound, strict=True):
            soundness.check(found, cell, f"after presentation {block.first + shown}")
        n = n_trials * shown
        for c, out in enumerate(outs):
            counts[c].append(fetch(out).reshape(n_trials, block.index[0].size, -1))
            on_progress(n)
        now = time.perf_counter()
        if since is not None:
            seconds = (now - since) / len(lane.cells)
            timed = [(presentations + n, spent + seconds) for presentations, spent in state.timed]
            state = dataclasses.replace(state, timed=timed)
        since = now
        if block.shown is not None:
            state = dataclasses.replace(state, learned=learned, window=state.window + 1)
            seen = block.first + shown
            _score(state, counts, data.train_labels[block.shown], window_size(schedule, lane.inputs.batch_size), seen)
            counts = [[] for _ in lane.cells]
            on_window(state)
    return state


def _vote(
    counts: Array, labels: Array, shown: Array, before: Array, n_classes: int
) -> tuple[Array, readouts.Assignment]:
    """A window's answers int32[n_trials, n] by the labels of the window before, and the assignment that it
    gives itself.
    """

    def one(counts, labels, shown, before):
        old = readouts.Assignment(response=jnp.zeros((n_classes, counts.shape[1])), label=before)
        return readouts.all_activity(old, counts), readouts.assign(counts, labels, n_classes, shown)

    return jax.vmap(one)(counts, labels, shown, before)


def _score(state: LaneState, counts: list[list[np.ndarray]], truth: np.ndarray, window: int, seen: int) -> None:
    """Add this window's point to the learning curves: its accuracy by the labels of the window before."""
    n = truth.shape[1]
    padded = np.pad(truth, ((0, 0), (0, window - n)), constant_values=-1)
    labels, responses, curves = [], [], list(state.curves)  # new ones: the state before stays what it was
    for c, parts in enumerate(counts):
        window_counts = np.concatenate(parts, axis=1)[:, :n]
        window_counts = np.pad(window_counts, ((0, 0), (0, window - n), (0, 0)))
        n_classes = state.responses[c].shape[1]
        shown = padded >= 0, state.labels[c], n_classes
        answers, new = jax.jit(_vote, static_argnums=4)(window_counts, padded, *shown)
        if state.window > 1:
            accuracy = np.mean(np.asarray(answers)[:, :n] == truth, axis=1)
            curves[c] = [[*curve, (seen, float(a))] for curve, a in zip(curves[c], accuracy, strict=True)]
        labels.append(np.asarray(new.label))
        responses.append(state.responses[c] + np.asarray(new.response))
    state.labels, state.responses, state.curves = tuple(labels), tuple(responses), curves
