"""Learners that follow a gradient: the whole of `jsnn.learners.learner.Learner` but for the gradient itself.

The trials of a lane are one cell. A learner of one's own is a subclass with an `optimiser` and a method `gradient`.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn import readouts
from jsnn.core.errors import InputError
from jsnn.core.pytree import Node
from jsnn.data import Dataset
from jsnn.encoders import Recording
from jsnn.engines.stimulus import TEST
from jsnn.grid.groups import Lane, LaneState, Schedule, Trial, Way
from jsnn.grid.layout import Layout, fetch, layouts, on_cpu
from jsnn.learners import cost, updates, validation
from jsnn.learners.learner import Task
from jsnn.learners.optimiser import Optimiser
from jsnn.learners.updates import TrainState
from jsnn.networks.feedforward import BatchMetrics, Feedforward, LabelledBatch, Params

BATCH = 200  # images that a frozen network answers at once


class GradientLearner(Node):
    """What learners that follow a gradient have in common: training by batches of a feedforward network.

    A subclass is a node that has an `optimiser`, and says which way the parameters should go (`gradient`). The network
    that answers is the one that was trained, unless `as_trained` and `finished` say otherwise.
    """

    shares_inputs: ClassVar[bool] = False  # each trial draws its own batches
    labels_neurons: ClassVar[bool] = False  # there is an output for each class
    detaches_reset: ClassVar[bool] = False  # whether it never has a gradient through resets
    unread: ClassVar[tuple[str, ...]] = ("run.test_passes", "run.readout", "run.engine", "data.n_assign")
    optimiser: Optimiser

    def gradient(self, network: Feedforward, params: Params, batch: LabelledBatch) -> tuple[Params, BatchMetrics]:
        """The gradient of the loss by the parameters, and what was measured on the way."""
        raise NotImplementedError(f"{type(self).__name__} should have a method gradient(network, params, lesson)")

    def as_trained(self, trial: Trial) -> Trial:
        """The trial as it is trained."""
        return trial

    def finished(self, lane: Lane, layout: Layout, params: Params, data: Dataset, schedule: Schedule) -> Params:
        """The parameters of the networks that answer, from those that were trained, [n_trials, ...] each."""
        return params

    def network(self, neuron: Any, rule: Any) -> Feedforward:
        """The feedforward network of a config that says nothing of it."""
        return Feedforward(neuron=neuron)

    def check(self, trial: Trial, where: str) -> None:
        """Raises InputError if the parts and numbers of a trial do not go together."""
        validation.check(trial, where)
        self.check_network(trial, where)
        validation.check_unread(trial, where)

    def check_network(self, trial: Trial, where: str) -> None:
        """Raises InputError for a network that this learner, beside others, cannot train: there is none."""

    def check_data(self, trial: Trial, encoder: str, data: Dataset) -> None:
        """Raises InputError where the network cannot see the images of `data` as they are.

        Recordings are 34 x 34 x 2, images of 784 pixels 28 x 28 x 1. Others have no shape that is known here: the
        channels come last, no more of them than the height or the width.
        """
        shape, n_bytes = trial.network.input_shape, data.train_images.shape[1]
        recorded, what = isinstance(trial.inputs.encoder, Recording), f"network.input_shape = {list(shape)}"
        own = (34, 34, 2) if recorded else (28, 28, 1) if n_bytes == 784 else None
        needed = updates.row(trial)
        if needed != n_bytes:
            raise InputError(
                f"{what}, run.n_steps = {trial.inputs.n_steps} with encoder {encoder}: {data.name} has {n_bytes} bytes "
                f"an image and this needs {needed}; recordings, of 34 x 34 x 2, are for the encoders of events alone"
            )
        if own is not None and len(shape) == 3 and shape != own:
            raise InputError(f"{what}: it should be {list(own)}, [height, width, channels] of {data.name}")
        if len(shape) == 3 and shape[2] > min(shape[:2]) and max(shape[:2]) > 1:
            raise InputError(f"{what}: it should be [height, width, channels], the channels last")
        if trial.network.layers[-1].size != data.n_classes:
            end = f"it should end with {data.n_classes}, the classes of {data.name}"
            raise InputError(f"network.architecture = {trial.network.architecture!r}: {end}")

    def check_options(self, lane: Lane, engine: str, grid: str | int) -> None:
        """Raises nothing: there is one way to train, on any number of devices."""

    def program(self, trial: Trial) -> Any:
        """The structure of the trial."""
        return jax.tree.structure(trial)

    def footprint(self, lane: Lane) -> int:
        """Bytes of the spikes of a batch, and of weights, their gradient and two averages of it."""
        inputs, network, n_trials = lane.inputs, lane.cells[0].trials.network, len(lane.cells[0].index)
        n_steps = inputs.n_steps + inputs.rest
        spikes = 4 * inputs.batch_size * (network.chunk or n_steps) * (network.n_input + network.n_neurons)
        return spikes + (3 * n_trials + 1) * cost.memory(network, n_steps)["weights"]

    def learning_cost(self, network: Feedforward, answered: cost.Price, n_steps: int) -> cost.Price:
        """What one presentation costs to learn from, which costs `answered` to answer. Updates of the weights by the
        optimiser, once a batch, are not counted.

        By backpropagation: an error for each neuron and step, through all synapses above it (a MAC each); and for each
        synapse that was reached, the error of its neuron (an addition; a MAC where the input is analog).
        """
        errors = cost.backpropagated(network, n_steps)
        return dataclasses.replace(answered, macs=answered.macs + errors)

    def needs_one_device(self, trial: Trial) -> bool:
        """Whether there is a batch, which is one product."""
        return trial.inputs.batch_size > 1

    def start(self, lane: Lane, n_classes: int) -> LaneState:
        """Untrained networks: their last layers have the classes already."""
        del n_classes
        (cell,) = lane.cells
        state = jax.jit(_init, static_argnums=0)(layout_of(lane, 1), cell.trials)
        return LaneState(
            learned=(state,), labels=(), responses=(), curves=[[[] for _ in cell.index]], timed=[(0, 0.0)], ways=()
        )

    def begin(self, lane: Lane, task: Task) -> LaneState:
        """Untrained networks; on a CPU one trial is trained after the other, elsewhere all at once, unless `run.grid`
        says otherwise.
        """
        n_trials = len(lane.cells[0].index)
        grid = task.grid
        if isinstance(grid, int):
            at_once = min(grid, n_trials)
        else:
            at_once = {"auto": 1 if on_cpu() else n_trials, "map": 1, "vmap": n_trials}[grid]
        return dataclasses.replace(self.start(lane, task.data.n_classes), ways=(Way("gradient", at_once),))

    def n_windows(self, lane: Lane, schedule: Schedule) -> int:
        """Windows of the whole training."""
        n_batches = schedule.n_train // lane.inputs.batch_size
        return schedule.epochs * -(-n_batches // _window(n_batches, schedule))

    def arrays(self, state: LaneState) -> dict[str, Any]:
        """What is saved: the leaves of the training state."""
        return {"leaves": jax.tree.leaves(state.learned)}

    def fields(self, like: LaneState, arrays: dict[str, Any]) -> dict[str, Any]:
        """The fields of the state that `arrays` were saved from."""
        return {"learned": jax.tree.unflatten(jax.tree.structure(like.learned), arrays["leaves"])}

    def train(
        self,
        lane: Lane,
        data: Dataset,
        schedule: Schedule,
        state: LaneState,
        on_progress: Callable[[int], None],
        on_window: Callable[[LaneState], None],
    ) -> LaneState:
        """Train to the end of the schedule, window by window: each a part of an epoch, and a point of the curves.

        Raises InputError for a loss, a weight or an average of the optimiser that is not a number: it says after which
        update, and of which trial.
        """
        (cell,), n, batch = lane.cells, schedule.n_train, lane.inputs.batch_size
        n_batches, total = n // batch, n_updates(lane, schedule)
        size = _window(n_batches, schedule)
        per_epoch = self.n_windows(lane, schedule) // schedule.epochs
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

    def answers(self, lane: Lane, task: Task, state: LaneState) -> list[list[dict[str, Any]]]:
        """Show the test images; warns of networks that are silent."""
        at_once = state.ways[0].at_once
        lines = asked(lane, task.data, task.schedule, state.learned[0], task.observer.progress, at_once)
        for g, (i, line) in enumerate(zip(lane.cells[0].index, lines, strict=True)):
            why = silence(line)
            if why:
                seed = int(np.asarray(lane.inputs.seed)[g])
                task.observer.warn(
                    f"{task.conditions[i]}, seed {seed}: {why}; "
                    "its weights may be too small for its thresholds: network.gain, neuron.v_threshold"
                )
        return [lines]


def n_updates(lane: Lane, schedule: Schedule) -> int:
    """Of the whole training."""
    return schedule.epochs * (schedule.n_train // lane.inputs.batch_size)


def _window(n_batches: int, schedule: Schedule) -> int:
    """Batches of a window."""
    return -(-n_batches // schedule.windows)


def layout_of(lane: Lane, at_once: int) -> Layout:
    """Where the trials are computed."""
    return dataclasses.replace(layouts(len(lane.cells[0].index), 1)[0], at_once=at_once)


def _init(layout: Layout, trials: Trial) -> TrainState:
    return layout.map(updates.init, trials)


def _order(layout: Layout, trials: Trial, epoch: Array, n: int) -> Array:
    return layout.map(lambda t, epoch: updates.order(t.inputs, epoch, n), trials, shared=(epoch,))


def _train(
    layout: Layout, trials: Trial, state: TrainState, index: Array, pixels: Array, labels: Array, n: int
) -> tuple[TrainState, BatchMetrics, Array]:
    """The states after the batches `index`, what was measured, and whether all numbers of each state are finite."""

    def one(t, s, i, pixels, labels):
        state, measured = updates.train(t, s, pixels, labels, i, n)
        finite = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves((state.params, state.optimiser))]
        return state, measured, jnp.all(jnp.stack(finite))

    return layout.map(one, trials, state, index, shared=(pixels, labels))


def _ask(
    layout: Layout, trials: Trial, params: Params, pixels: Array, labels: Array, number: Array
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
    rate = float(np.asarray(trials.learner.optimiser.learning_rate)[g])
    seed = int(np.asarray(lane.inputs.seed)[g])
    raise InputError(
        f"{what} of trial {lane.cells[0].index[g]} (run.seed = {seed}, rule.optimiser.learning_rate = {rate:g}, last "
        f"loss {loss[g, -1]:g}): they should be finite; take a smaller learning rate, or rule.optimiser.clip = 1.0"
    )


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
    network, layout = trials.network, layout_of(lane, at_once)
    params = lane.learner.finished(lane, layout, learned.params, data, schedule)
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
        matrix = np.asarray(readouts.confusion(jnp.asarray(labels), jnp.asarray(answered[g]), data.n_classes)).tolist()
        accuracy = float(np.mean(answered[g] == labels))
        each = [float(s) / n for s in total[g, 1:]]
        spikes, operations = each[: -len(network.layers)], each[-len(network.layers) :]
        price = cost.answering(network, operations, n_steps, updates.is_analog(lane.inputs.encoder))
        spent = lane.learner.learning_cost(network, price, n_steps)
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
