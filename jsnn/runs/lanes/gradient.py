"""Lanes of networks that are trained by gradients; see `jsnn.runs.lanes.Kind`. Each has one cell."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn import readouts
from jsnn.core.errors import InputError
from jsnn.data import Dataset
from jsnn.engines.stimulus import TEST
from jsnn.grid.groups import Lane, LaneState, Schedule, Way
from jsnn.grid.layout import Layout, fetch, layouts, on_cpu
from jsnn.learners import cost, updates
from jsnn.learners.updates import GradientTrial, TrainState
from jsnn.networks.feedforward import BatchMetrics, Params
from jsnn.runs.lanes import Job

BATCH = 200  # images that a frozen network answers at once


def n_updates(lane: Lane, schedule: Schedule) -> int:
    """Of the whole training."""
    return schedule.epochs * (schedule.n_train // lane.inputs.batch_size)


def _window(n_batches: int, schedule: Schedule) -> int:
    """Batches of a window."""
    return -(-n_batches // schedule.windows)


def n_windows(lane: Lane, schedule: Schedule) -> int:
    """Of the whole training."""
    n_batches = schedule.n_train // lane.inputs.batch_size
    return schedule.epochs * -(-n_batches // _window(n_batches, schedule))


def layout_of(lane: Lane, at_once: int) -> Layout:
    """Where the trials are computed."""
    return dataclasses.replace(layouts(len(lane.cells[0].index), 1)[0], at_once=at_once)


def _init(layout: Layout, trials: GradientTrial) -> TrainState:
    return layout.map(updates.init, trials)


def _order(layout: Layout, trials: GradientTrial, epoch: Array, n: int) -> Array:
    return layout.map(lambda t, epoch: updates.order(t.inputs, epoch, n), trials, shared=(epoch,))


def _train(
    layout: Layout, trials: GradientTrial, state: TrainState, index: Array, pixels: Array, labels: Array, n: int
) -> tuple[TrainState, BatchMetrics, Array]:
    """The states after the batches `index`, what was measured, and whether all numbers of each state are finite."""

    def one(t, s, i, pixels, labels):
        state, measured = updates.train(t, s, pixels, labels, i, n)
        finite = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves((state.params, state.optimiser))]
        return state, measured, jnp.all(jnp.stack(finite))

    return layout.map(one, trials, state, index, shared=(pixels, labels))


def _convert(layout: Layout, trials: GradientTrial, params: Params, pixels: Array) -> Params:
    return layout.map(updates.converted, trials, params, shared=(pixels,))


def _ask(
    layout: Layout, trials: GradientTrial, params: Params, pixels: Array, labels: Array, number: Array
) -> tuple[Array, Array, Array]:
    """For each trial: its answers int32[batch]; how many of them were right after each step; and sums over the batch:
    of the presentations in which a potential was no number, of the input's spikes (or pixels that are not 0, in each
    step), of each layer's, and of the synapses they reached in each layer. A label of -1 is that of no image.
    """

    def one(t, params, pixels, labels, number):
        real = labels >= 0
        key = jax.random.fold_in(t.inputs.key(TEST), number)
        x = updates.shown(t, key, pixels)
        analog = updates.is_analog(t.inputs.encoder)
        response = t.network.respond(params, x, t.inputs.n_steps, t.inputs.dt, analog=analog)
        answers = response.predictions()
        right = jnp.sum((answers == labels) & real, axis=1)
        seen = jnp.sum((x != 0).reshape(*x.shape[:2], -1), axis=(0, 2)) * (len(response.output) // len(x))
        counts = jnp.stack(
            [jnp.sum(n * real) for n in (~response.finite, seen, *response.spikes, *response.operations)]
        )
        return answers[-1], right, counts

    return layout.map(one, trials, params, shared=(pixels, labels, number))


def start(lane: Lane) -> LaneState:
    """Untrained networks."""
    (cell,) = lane.cells
    state = jax.jit(_init, static_argnums=0)(layout_of(lane, 1), cell.trials)
    return LaneState(
        learned=(state,), labels=(), responses=(), curves=[[[] for _ in cell.index]], timed=[(0, 0.0)], ways=()
    )


def begin(job: Job, lane: Lane) -> LaneState:
    """Untrained networks; on a CPU one trial is trained after the other, elsewhere all at once, unless `run.grid` says
    otherwise.
    """
    n_trials = len(lane.cells[0].index)
    grid = job.cfg.run.grid
    if isinstance(grid, int):
        at_once = min(grid, n_trials)
    else:
        at_once = {"auto": 1 if on_cpu() else n_trials, "map": 1, "vmap": n_trials}[grid]
    return dataclasses.replace(start(lane), ways=(Way("gradient", at_once),))


def arrays(state: LaneState) -> dict[str, Any]:
    """What is saved: the leaves of the training state."""
    return {"leaves": jax.tree.leaves(state.learned)}


def fields(like: LaneState, arrays: dict[str, Any]) -> dict[str, Any]:
    """What was saved."""
    return {"learned": jax.tree.unflatten(jax.tree.structure(like.learned), arrays["leaves"])}


def train(
    lane: Lane,
    data: Dataset,
    schedule: Schedule,
    state: LaneState,
    on_progress: Callable[[int], None],
    on_window: Callable[[LaneState], None],
) -> LaneState:
    """To the end of the schedule, window by window: each a part of an epoch, and a point of the curves.

    Raises InputError for a loss, a weight or an average of the optimiser that is not a number: it says after which
    update, and of which trial.
    """
    (cell,), n, batch = lane.cells, schedule.n_train, lane.inputs.batch_size
    n_batches, total = n // batch, n_updates(lane, schedule)
    size = _window(n_batches, schedule)
    per_epoch = n_windows(lane, schedule) // schedule.epochs
    layout = layout_of(lane, state.ways[0].at_once)
    pixels, labels = layout.put(data.train_images[:n]), layout.put(data.train_labels[:n])
    order = None
    for window in range(state.window, schedule.epochs * per_epoch):
        epoch, w = divmod(window, per_epoch)
        if order is None or w == 0:
            order = jax.jit(_order, static_argnums=(0, 3))(layout, cell.trials, epoch, n)
        index = order[:, w * size : (w + 1) * size]
        began = time.perf_counter()
        learned, measured, finite = jax.jit(_train, static_argnums=(0, 6))(
            layout, cell.trials, state.learned[0], index, pixels, labels, total
        )
        loss, accuracy = fetch(measured.loss), fetch(measured.accuracy)
        seconds = time.perf_counter() - began
        _check(loss, fetch(finite), lane, epoch * n_batches + w * size)
        shown = index.shape[0] * index.shape[1] * batch
        on_progress(shown)
        done, spent = state.timed[0]
        first = window == state.window and not state.timed[0][0]  # it may have compiled
        seen = (epoch * n_batches + w * size + index.shape[1]) * batch
        curves = [[*curve, (seen, float(np.mean(a)))] for curve, a in zip(state.curves[0], accuracy, strict=True)]
        rates = {f"spikes of layer {i}": fetch(r).mean(axis=1) for i, r in enumerate(measured.rates, 1)}
        told = {"loss": loss.mean(axis=1), **rates}
        state = dataclasses.replace(
            state,
            learned=(learned,),
            curves=[curves],
            timed=[(done, spent) if first else (done + shown, spent + seconds)],
            window=window + 1,
            measured=tuple({what: float(x[g]) for what, x in told.items()} for g in range(len(cell.index))),
        )
        on_window(state)
    return state


def _check(loss: np.ndarray, finite: np.ndarray, lane: Lane, first: int) -> None:
    """Refuses losses [n_trials, n] that are not numbers, and states of trials that are not `finite` bool[n_trials]
    after them; `first` is the number of the first update.
    """
    trials: Any = lane.cells[0].trials
    bad = np.argwhere(~np.isfinite(loss))
    if len(bad):
        g, n = bad[np.argmin(bad[:, 1])]
        what = f"the loss is {loss[g, n]} in update {first + n}"
    elif not np.all(finite):
        g, n = int(np.argmin(finite)), loss.shape[1] - 1
        what = f"weights, or the optimiser's averages of them, are not finite after update {first + n}"
    else:
        return
    rate = float(np.asarray(trials.rule.optimiser.learning_rate)[g])
    seed = int(np.asarray(lane.inputs.seed)[g])
    raise InputError(
        f"{what} of trial {lane.cells[0].index[g]} (run.seed = {seed}, rule.optimiser.learning_rate = {rate:g}, last "
        f"loss {loss[g, -1]:g}): they should be finite; take a smaller learning rate, or rule.optimiser.clip = 1.0"
    )


def _check_scales(params: Params, lane: Lane) -> None:
    """Refuses converted weights that are not finite: activations of their layer were divided by a percentile of 0."""
    trials, n = cast(Any, lane.cells[0].trials), len(lane.cells[0].index)
    for number, layer in enumerate(params["synapses"], 1):
        finite = [np.isfinite(fetch(w)).reshape(n, -1).all(axis=1) for w in jax.tree.leaves(layer)]
        bad = np.flatnonzero(~np.all(finite, axis=0))
        if len(bad):
            percentile = float(np.asarray(trials.rule.percentile)[bad[0]])
            raise InputError(
                f"rule.percentile = {percentile:g} of trial {lane.cells[0].index[bad[0]]}: this percentile of the "
                f"activations of layer {number} is 0; it should be higher, or the ANN less silent"
            )


def answers(job: Job, lane: Lane, state: LaneState) -> list[list[dict[str, Any]]]:
    """The test images are shown. Warns of networks that are silent."""
    at_once = state.ways[0].at_once
    lines = asked(lane, job.data, job.schedule, state.learned[0], job.observer.progress, at_once)
    for i, line in zip(lane.cells[0].index, lines, strict=True):
        why = silence(line)
        if why:
            entry = job.cfg.entries[i]
            job.observer.warn(
                f"{entry.encoder} x {entry.neuron} x {entry.rule}, seed {entry.trial.inputs.seed}: {why}; "
                "its weights may be too small for its thresholds: network.gain, neuron.v_threshold"
            )
    return [lines]


def silence(line: dict[str, Any]) -> str:
    """What of a network is silent, in words, from what `asked` says of it; "" if nothing is."""
    (matrix,) = line["confusions"].values()
    unanswered, n = sum(row[-1] for row in matrix), sum(map(sum, matrix))
    layers = [i for i, spikes in enumerate(line["layer_spikes"]) if i and not spikes]
    if layers:
        return f"layer {layers[0]} never fires: {unanswered} of {n} images have no answer"
    return f"{unanswered} of {n} images have no answer" if 2 * unanswered > n else ""


def asked(
    lane: Lane,
    data: Dataset,
    schedule: Schedule,
    learned: TrainState,
    on_progress: Callable[[int], None],
    at_once: int = 1,
) -> list[dict[str, Any]]:
    """What each of the trained networks answers to the test images: the class of the largest summed output, or none
    (`jsnn.networks.feedforward.Response.answers`). Raises InputError where potentials are not numbers.
    """
    (cell,), n, n_steps = lane.cells, schedule.n_test, lane.inputs.n_steps
    trials: Any = cell.trials
    network, trained = trials.network, updates.trained(trials)
    layout = layout_of(lane, at_once)
    params, is_converted = learned.params, trained is not trials
    if is_converted:
        pixels = data.train_images[: min(trials.rule.n_images, schedule.n_train)]
        params = jax.jit(_convert, static_argnums=0)(layout, cell.trials, params, pixels)
        _check_scales(params, lane)
    predictions, right, total = [], np.zeros(1), np.zeros(1)
    for number, first in enumerate(range(0, n, BATCH)):
        missing = max(0, first + BATCH - n)
        pixels = np.pad(data.test_images[first : min(first + BATCH, n)], ((0, missing), (0, 0)))
        labels = np.pad(data.test_labels[first : min(first + BATCH, n)], (0, missing), constant_values=-1)
        found = jax.jit(_ask, static_argnums=0)(layout, cell.trials, params, pixels, labels, number)
        answered, r, counts = jax.tree.map(fetch, found)
        predictions.append(answered[:, : BATCH - missing])
        right, total = right + r, total + counts
        on_progress(len(cell.index) * (BATCH - missing))
    answered, labels = np.concatenate(predictions, axis=1), data.test_labels[:n]
    kind, lines = "argmax", []
    for g in range(len(cell.index)):
        if total[g, 0]:
            raise InputError(
                f"trial {cell.index[g]}: potentials are not finite for {int(total[g, 0])} of {n} images; its numbers "
                "(neuron, network.gain, the learned weights) should be smaller"
            )
        matrix = np.asarray(readouts.confusion(jnp.asarray(labels), jnp.asarray(answered[g]))).tolist()
        accuracy = float(np.mean(answered[g] == labels))
        each = [float(s) / n for s in total[g, 1:]]
        spikes, operations = each[: -len(network.layers)], each[-len(network.layers) :]
        price = cost.answering(network, operations, n_steps, updates.is_analog(lane.inputs.encoder))
        spent = cost.Price(macs=float(sum(cost.dense_macs(network)))) if is_converted else price
        spent = cost.learning(trained.network, trained.rule, spent, n_steps)
        lines.append(
            {
                "architecture": network.architecture,
                "n_presentations": n_updates(lane, schedule) * lane.inputs.batch_size,
                "n_assign": 0,
                "readout": kind,
                "accuracy": accuracy,
                "readouts": {kind: accuracy},
                "confusions": {kind: matrix},
                "accuracy_after": [float(r) / n for r in right[g]],  # each step
                "neuron_labels": None,
                "input_spikes": spikes[0],
                "output_spikes": sum(spikes[1:]),
                "layer_spikes": spikes,
                "layer_operations": operations,
                "synaptic_operations": sum(operations),
                "price": vars(price),
                "price_of_learning": vars(spent),
                "memory": cost.memory(network, n_steps),
            }
        )
    return lines
