"""A whole run as one function: train a network on a data set, label its neurons, test it.

It draws the random numbers of the run of a study (`jsnn.runs`) that has the same settings and seed, and gives the same
answers. Where all numbers are concrete, the fastest engine does it; where some of them are traced, as under `jax.vmap`,
it is one program of the dense engine, which defines what the others compute.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from jsnn import readouts
from jsnn.core.errors import InputError
from jsnn.core.pytree import Node, node, static
from jsnn.data import Dataset
from jsnn.engines import stimulus
from jsnn.engines.stimulus import ASSIGN, TEST, TRAIN, Inputs
from jsnn.grid import groups
from jsnn.grid.groups import Schedule, Trial, Way
from jsnn.learners.plasticity import evaluation, plans, training, trial
from jsnn.learners.plasticity.learner import Plasticity
from jsnn.networks.competitive import CompetitiveNetwork, Learned

INTERVALS = 20  # points of the learning curve, an epoch
ACCUMULATED = "accumulated"  # the read-out that is labelled while the network learns


@node
class Result(Node):
    """What a network has learned and how it does on the test images."""

    accuracy: Array | float  # share of the test images that are answered rightly, by the read-out `readout`
    state: Learned  # what the network has learned
    confusion: Array  # int32[n_classes, n_classes + 1]: rows are true classes, the last column is "no answer"
    curve: Array  # float32[n_points, 2]: images seen, and the accuracy since the point before, of all activity
    labels: Array  # int32[n_neurons]: the class that each neuron stands for; -1 for a silent one
    readouts: dict[str, Any]  # the accuracy of each read-out
    readout: str = static(default="all_activity")  # the one that `accuracy` and `confusion` are of


def fit(
    network: CompetitiveNetwork,
    inputs: Inputs,
    data: Dataset,
    n_train: int | None = None,
    n_assign: int | None = None,
    n_test: int | None = None,
    *,
    seed: int | Array | None = None,
    epochs: int = 1,
    readout: str = "all_activity",
    progress: bool = True,
) -> Result:
    """Train an untrained network on a data set, label its neurons, and test it.

    All numbers of the network, the inputs and the seed may be traced, so that `jax.vmap` makes a grid of it:

        jax.vmap(lambda eta: jsnn.fit(network.replace(rule=jsnn.STDP(eta_post=eta)), inputs, digits).accuracy)(etas)

    Args:
        network: The network; its `n_input` is the number of pixels.
        inputs: Encoder, number of steps, time step, batch size and seed.
        data: Images and labels (`jsnn.data`).
        n_train: How many training images are shown, from the first on; by default all.
        n_assign: How many of them label the neurons afterwards; by default all, at most 10 000.
        n_test: How many test images are shown; by default all.
        seed: For all that is random: initial weights, order of the images, spikes; by default that of the inputs.
        epochs: How often the training images are shown.
        readout: Of which read-out `accuracy` and `confusion` are: one of `jsnn.readouts.READOUTS`, or "accumulated".
        progress: Whether a bar is drawn on the terminal; where numbers are traced there is none.

    Returns:
        Accuracy, state, confusion matrix, learning curve, labels, and the accuracies of all read-outs.

    Raises:
        InputError: Numbers of images that there are not, images of another size than the network's, or an unknown
            read-out; or, where nothing is traced, weights that have run away.
    """
    if seed is not None:
        inputs = inputs.replace(seed=seed)
    data = data.first(n_train, n_test)
    n_train, n_test = len(data.train), len(data.test)
    n_assign = min(n_train, 10_000) if n_assign is None else n_assign
    for name, value, most in (
        ("n_assign", n_assign, n_train),
        ("inputs.batch_size", inputs.batch_size, n_train),
        ("epochs", epochs, (2**31 - 1) // n_train),
    ):
        if not 1 <= value <= most:
            raise InputError(f"{name} = {value}: it should be from 1 to {most}")
    if not isinstance(network, CompetitiveNetwork):
        raise InputError(f"network is a {type(network).__name__}: it should be a CompetitiveNetwork")
    known = (*readouts.READOUTS, ACCUMULATED)
    if readout not in known:
        raise InputError(f"readout = {readout!r}: it should be one of {', '.join(known)}")
    schedule = Schedule(n_train=n_train, n_assign=n_assign, n_test=n_test, epochs=epochs, windows=INTERVALS)
    one = Trial(inputs=inputs, network=network, learner=Plasticity())
    one.learner.check_data(one, "", data)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(one)):
        return jax.jit(lambda one: _traced(one, data, schedule, readout))(one)
    one.learner.check(one, "fit")
    with _bar(schedule.n_presentations if progress else None) as advance:
        return _concrete(one, data, schedule, readout, advance)


def _concrete(one: Trial, data: Dataset, schedule: Schedule, readout: str, advance: Callable[[int], None]) -> Result:
    """By the fastest engine."""
    (lane,) = groups.plan([one])
    state = plans.start(lane, data.n_classes)
    state = training.train(lane, data, schedule, state, advance, lambda _: None)
    ((answers,),) = evaluation.answer(lane, data, schedule, state.learned, advance, state.responses)
    return Result(
        accuracy=answers.accuracy[readout],
        state=jax.tree.map(jnp.asarray, groups.take(state.learned[0], 0)),
        confusion=jnp.asarray(answers.confusion[readout]),
        curve=jnp.asarray(state.curves[0][0], float).reshape(-1, 2),
        labels=jnp.asarray(answers.labels),
        readouts=answers.accuracy,
        readout=readout,
    )


@contextlib.contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar of so many presentations; what it gives is told of those that are done."""
    if total is None:
        yield lambda n: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    text = TextColumn("{task.completed:,.0f} of {task.total:,.0f} images")
    with Progress(BarColumn(), text, TimeElapsedColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=total)
        yield lambda n: bar.advance(task, n)


def _traced(one: Trial, data: Dataset, schedule: Schedule, readout: str) -> Result:
    """As one program."""
    learned, points, responses = trial.init(one), [], 0.0
    before = jnp.full(one.network.n_neurons, -1, jnp.int32)
    for epoch in range(schedule.epochs):
        order = stimulus.order(one.inputs, jnp.asarray(epoch), schedule.n_train)
        learned, counts = _epoch(one, learned, data, order, epoch * schedule.n_train)
        truth = jnp.asarray(data.train_labels)[order]
        first = epoch * schedule.n_train
        seen, accuracies, of_classes, before = _curve(counts, truth, before, schedule, one, data.n_classes)
        points.append(jnp.stack([first + seen, accuracies], axis=1)[0 if epoch else 1 :])
        responses = responses + of_classes
    shown = data.train_images[: schedule.n_assign], data.train_labels[: schedule.n_assign]
    train_counts = _responses(one, learned, shown[0], ASSIGN)
    test_counts = _responses(one, learned, data.test_images, TEST)
    labels, test_labels = jnp.asarray(shown[1]), jnp.asarray(data.test_labels)
    predictions = {
        name: readouts.predict(name, train_counts, labels, test_counts, data.n_classes) for name in readouts.READOUTS
    }
    predictions[ACCUMULATED] = readouts.all_activity(readouts.assignment_of(jnp.asarray(responses)), test_counts)
    return Result(
        accuracy=jnp.mean(predictions[readout] == test_labels),
        state=learned,
        confusion=readouts.confusion(test_labels, predictions[readout], data.n_classes),
        curve=jnp.concatenate(points),
        labels=readouts.assign(train_counts, labels, data.n_classes).label,
        readouts={name: jnp.mean(answers == test_labels) for name, answers in predictions.items()},
        readout=readout,
    )


def _blocks(n: int, batch: int, at_once: int) -> np.ndarray:
    """The places of n presentations, int32[n_blocks, n_batches, batch], blocks of about `at_once`; -1: none."""
    per_block = max(1, at_once // batch) * batch
    places = np.full(-(-n // per_block) * per_block, -1, np.int32)
    places[:n] = np.arange(n)
    return places.reshape(-1, per_block // batch, batch)


def _epoch(one: Trial, learned: Learned, data: Dataset, order: Array, first: int) -> tuple[Learned, Array]:
    """Learn from the training images in an order; the counts are float32[n_train, n_neurons]."""
    n, inputs = len(order), one.inputs
    images, n_active = jnp.asarray(data.train_images), stimulus.most_active(data.train_images)
    engine = plans.engine_of(Way("dense"), one)

    def block(learned: Learned, places: Array):
        index = jnp.where(places >= 0, order[places], -1)
        number = first + places[0, 0] + jnp.arange(places.size).reshape(places.shape)
        rasters = stimulus.encode(inputs, TRAIN, images, index, number, n_active)
        n_shown = jnp.sum(jnp.any(index >= 0, axis=1))
        return trial.train(one, learned, rasters, index, number, number[0, 0], n_shown, engine)

    learned, counts = jax.lax.scan(block, learned, jnp.asarray(_blocks(n, inputs.batch_size, plans.BLOCK)))
    return learned, counts.reshape(-1, one.network.n_neurons)[:n]


def _responses(one: Trial, learned: Learned, images: np.ndarray, purpose: int) -> Array:
    """The frozen network's counts float32[n, n_neurons]."""
    shown, n_active = jnp.asarray(images), stimulus.most_active(images)

    def block(places: Array) -> Array:
        number = places[0, 0] + jnp.arange(places.size).reshape(places.shape)
        rasters = stimulus.encode(one.inputs, purpose, shown, places, number, n_active)
        return trial.respond(one, learned, rasters, purpose, number, plans.DENSE)

    counts = jax.lax.map(block, jnp.asarray(_blocks(len(images), plans.EVAL_BATCH, plans.BLOCK)))
    return counts.reshape(-1, one.network.n_neurons)[: len(images)]


def _curve(
    counts: Array, truth: Array, before: Array, schedule: Schedule, one: Trial, n_classes: int
) -> tuple[Array, Array, Array, Array]:
    """The learning curve of an epoch: images seen at the end of each interval, the accuracy in it by the labels of the
    interval before, the sum of mean responses [n_classes, n_neurons], and the labels of the last interval. `before` are
    those of the one before the first.
    """
    n, n_neurons = counts.shape
    size = training.window_size(schedule, one.inputs.batch_size)
    ends = np.minimum(np.arange(size, n + size, size), n)
    missing = len(ends) * size - n
    counts = jnp.pad(counts, ((0, missing), (0, 0))).reshape(len(ends), size, n_neurons)
    truth = jnp.pad(truth, (0, missing), constant_values=-1).reshape(len(ends), size)
    new = jax.vmap(lambda c, t: readouts.assign(c, t, n_classes, t >= 0))(counts, truth)
    silent = jnp.zeros((len(ends), n_classes, n_neurons))
    old = readouts.Assignment(response=silent, label=jnp.concatenate([before[None], new.label[:-1]]))
    right = jax.vmap(readouts.all_activity)(old, counts) == truth
    sizes = np.diff(ends, prepend=0)
    accuracies = jnp.sum(right & (truth >= 0), axis=1) / sizes
    return jnp.asarray(ends, float), accuracies, jnp.sum(new.response, axis=0), new.label[-1]
