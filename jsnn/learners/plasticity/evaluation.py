"""What the frozen networks of a lane answer: neurons are labelled on training images, then test images are shown."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn import readouts
from jsnn.data import Dataset
from jsnn.engines import InferenceEngine, event, stimulus
from jsnn.engines.frozen import frozen
from jsnn.engines.stimulus import ASSIGN, TEST, Rasters
from jsnn.grid import groups
from jsnn.grid.groups import Cell, Lane, Schedule, Trial
from jsnn.grid.layout import WHOLE, Layout, fetch, layouts, on_cpu
from jsnn.learners.plasticity import plans, soundness, trial
from jsnn.networks.competitive import Learned

WORTH_IT = 2_000_000  # presentations x neurons, for which the event engine is compiled


@dataclasses.dataclass(frozen=True)
class Answers:
    """What one trial's frozen network answered, and what it cost."""

    accuracy: dict[str, float]  # of each readout, on the test images
    confusion: dict[str, list[list[int]]]  # likewise
    labels: np.ndarray  # int32[n_neurons]: what each neuron stands for
    silent: float  # share of the test images at which no neuron fired
    input_spikes: float  # a test image, all its showings together
    output_spikes: float  # likewise
    theta: float  # mV, mean over the neurons


def responder(cell: Cell, n_images: int) -> InferenceEngine:
    """The engine by which the frozen networks of a cell answer so many images: on a CPU the event engine, if it can and
    there is enough to do to make up for the seconds that it takes to compile, or the ahead engine.
    """
    network = groups.take(cell.trials.network, 0)
    worth_it = n_images * len(cell.index) * network.n_neurons >= WORTH_IT
    refused = any(event.refusal(frozen(one)) for one in plans.different(cell))
    if on_cpu() and worth_it and not refused:
        return plans.EVENT
    return plans.AHEAD if on_cpu() and refused else plans.DENSE


def _respond(
    layout: Layout,
    trials: Trial,
    learned: Learned,
    rasters: Rasters,
    purpose: Array,
    index: Array,
    first: Array,
    engine: InferenceEngine,
) -> tuple[Array, Array]:
    def one(t, x, s, number):
        return trial.answered(t, x, s, purpose, number, engine)

    along = WHOLE, WHOLE, plans.PRESENTATIONS, 1
    return layout.map(one, trials, learned, rasters, plans.numbers(index, first), along=along, out=(1, 1))


def responses(
    lane: Lane,
    learned: Sequence[Learned],
    images: np.ndarray,
    purpose: int,
    on_progress: Callable[[int], None],
    start: int = 0,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Counts of the frozen networks, a cell: [n_trials, n_images, n_neurons]; and what an image cost, on average: the
    spikes of the input and of the layer in all its showings, [n_cells, n_trials, 2]. `start`: how many presentations
    for this purpose came before.
    """
    n_trials, n_devices = len(lane.cells[0].index), len(jax.devices())
    where = layouts(n_trials, len(lane.cells), plans.EVAL_BATCH * n_devices)
    batch = plans.EVAL_BATCH * (n_devices if where[0].split else 1)  # of a device: the same on any number of them
    n_batches = max(1, plans.BLOCK // (batch * n_trials))
    index = np.broadcast_to(np.arange(len(images), dtype=np.int32), (n_trials, len(images)))
    on_device = where[0].put(images)
    if where != plans.where_of(lane):
        learned = [layout.put(x) for layout, x in zip(where, learned, strict=True)]
    n_active = stimulus.most_active(images)
    engines = [responder(cell, len(images)) for cell in lane.cells]
    counts: list[list[np.ndarray]] = [[] for _ in lane.cells]
    total = np.zeros((len(lane.cells), n_trials, 2))
    first = 0
    for block in plans.blocks(index, n_batches * batch):
        shown = int(np.sum(block[0] >= 0))
        rows = block.reshape(n_trials, n_batches, batch)
        number = start + first
        rasters = plans.encoded(where[0], where, lane.inputs, purpose, on_device, rows, number, n_active)
        outs = [
            jax.jit(_respond, static_argnums=(0, 7))(
                at, plans.without(cell.trials, "rule"), learned[c], rasters[at], purpose, rows, number, engines[c]
            )
            for c, (at, cell) in enumerate(zip(where, lane.cells, strict=True))
        ]
        for c, out in enumerate(outs):
            answers, spent = (fetch(x).reshape(n_trials, n_batches * batch, -1)[:, :shown] for x in out)
            counts[c].append(answers)
            total[c] += np.sum(spent, axis=1, dtype=float)
            on_progress(n_trials * shown)
        first += n_batches * batch
    return [np.concatenate(parts, axis=1) for parts in counts], total / len(images)


def in_passes(
    lane: Lane, learned: Sequence[Learned], images: np.ndarray, schedule: Schedule, on_progress: Callable[[int], None]
) -> tuple[list[np.ndarray], np.ndarray]:
    """The mean counts, and costs, of so many passes through the test images (Diehl & Cook 2015, §2.6: ten)."""
    n, passes = schedule.n_test, range(schedule.test_passes)
    all_of_them = [responses(lane, learned, images[:n], TEST, on_progress, start=k * n) for k in passes]
    counts, spent = zip(*all_of_them, strict=True)
    return [np.mean(parts, axis=0) for parts in zip(*counts, strict=True)], np.mean(spent, axis=0)


def answer(
    lane: Lane,
    data: Dataset,
    schedule: Schedule,
    learned: Sequence[Learned],
    on_progress: Callable[[int], None],
    responses_in_training: Sequence[np.ndarray] | None = None,
    label_on_test: bool = False,
) -> list[list[Answers]]:
    """Label the neurons on training images, then answer the test images: [cell][trial].

    `responses_in_training` (`LaneState.responses`), where given, adds the read-out "accumulated": all activity,
    with labels from what the neurons answered while they were learning, which is how BindsNET's scripts label them.
    `label_on_test` adds the read-out "labelled_on_test_images", which is not a test: all activity, with labels from the
    answers to the test images themselves. It is there to reproduce the numbers of Diehl & Cook's demonstration.

    Raises InputError for networks that are no numbers.
    """
    for layout, cell, x in zip(plans.where_of(lane), lane.cells, learned, strict=True):
        soundness.check(soundness.look(layout, cell, x), cell, "after training")
    train_counts, _ = responses(lane, learned, data.train_images[: schedule.n_assign], ASSIGN, on_progress)
    test_counts, spent = in_passes(lane, learned, data.test_images, schedule, on_progress)
    train_labels = jnp.asarray(data.train_labels[: schedule.n_assign])
    test_labels = jnp.asarray(data.test_labels[: schedule.n_test])
    assign, confusion = (jax.jit(f, static_argnums=2) for f in (readouts.assign, readouts.confusion))
    result, n_classes = [], data.n_classes
    for c, cell in enumerate(lane.cells):
        result.append([])
        for g in range(len(cell.index)):
            predictions = {
                name: jax.jit(readouts.predict, static_argnums=(0, 4))(
                    name, train_counts[c][g], train_labels, test_counts[c][g], n_classes
                )
                for name in readouts.READOUTS
            }
            if responses_in_training is not None:
                assignment = readouts.assignment_of(jnp.asarray(responses_in_training[c][g]))
                predictions["accumulated"] = jax.jit(readouts.all_activity)(assignment, test_counts[c][g])
            if label_on_test:
                assignment = assign(test_counts[c][g], test_labels, n_classes)
                predictions["labelled_on_test_images"] = jax.jit(readouts.all_activity)(assignment, test_counts[c][g])
            matrix = {
                name: np.asarray(confusion(test_labels, predicted, n_classes)).tolist()
                for name, predicted in predictions.items()
            }
            result[-1].append(
                Answers(
                    accuracy={k: sum(m[i][i] for i in range(n_classes)) / schedule.n_test for k, m in matrix.items()},
                    confusion=matrix,
                    labels=np.asarray(assign(train_counts[c][g], train_labels, n_classes).label),
                    silent=float(np.mean(np.sum(test_counts[c][g], axis=1) == 0)),
                    input_spikes=float(spent[c, g, 0]),
                    output_spikes=float(spent[c, g, 1]),
                    theta=float(np.mean(fetch(learned[c].theta[g]))),
                )
            )
    return result
