"""Local plasticity as a learner: see `jsnn.learners.learner.Learner`."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import numpy as np

from jsnn.core.errors import InputError
from jsnn.core.protocols import Neuron
from jsnn.core.pytree import Node, node
from jsnn.data import Dataset, cache
from jsnn.grid.groups import Lane, LaneState, Schedule, Trial
from jsnn.learners.learner import Task
from jsnn.learners.plasticity import autotune, evaluation, plans, training, validation
from jsnn.networks.competitive import CompetitiveNetwork, Learned

SILENT = 0.9  # of the test images: a network that fires at fewer of them is warned of


@node
class Plasticity(Node):
    """Learning by a local rule (`jsnn.rules`) in a competitive network, whose neurons are labelled afterwards."""

    shares_inputs: ClassVar[bool] = True
    labels_neurons: ClassVar[bool] = True
    unread: ClassVar[tuple[str, ...]] = ()

    def network(self, neuron: Neuron, rule: Any) -> CompetitiveNetwork:
        """The competitive network of a config that says nothing of it."""
        return CompetitiveNetwork(neuron=neuron, rule=rule)

    def check(self, trial: Trial, where: str) -> None:
        """Raises InputError if the parts and numbers of a trial do not go together."""
        validation.check(trial, where)

    def check_data(self, trial: Trial, encoder: str, data: Dataset) -> None:
        """Raises InputError if the network has not as many inputs as an image of `data` has pixels."""
        n_bytes = data.train_images.shape[1]
        if trial.network.n_input != n_bytes:
            raise InputError(
                f"network.n_input = {trial.network.n_input}: it should be {n_bytes}, the pixels of {data.name}"
            )

    def check_options(self, lane: Lane, engine: str, grid: str | int) -> None:
        """Raises InputError if no engine can train the trials of a lane as `run.engine` and `run.grid` say."""
        for cell in lane.cells:
            plans.ways(cell, engine, grid)

    def program(self, trial: Trial) -> Any:
        """The structure of what a block of presentations is computed from."""
        return jax.tree.structure(plans.without(trial))

    def footprint(self, lane: Lane) -> int:
        """Bytes of a block of rasters, the drive of a batch of answers, and the weights."""
        return plans.footprint(lane)

    def needs_one_device(self, trial: Trial) -> bool:
        """Whether the presentations of a batch meet in every step."""
        return plans.in_lockstep(trial)

    def start(self, lane: Lane, n_classes: int) -> LaneState:
        """Untrained networks, for data of so many classes."""
        return plans.start(lane, n_classes)

    def begin(self, lane: Lane, task: Task) -> LaneState:
        """Untrained networks, and the way to train each cell."""
        state, chosen = plans.start(lane, task.data.n_classes), []
        for c, cell in enumerate(lane.cells):
            condition, ways = task.conditions[cell.index[0]], plans.ways(cell, task.engine, task.grid)
            if len(ways) > 1:
                engines = "; ".join(map(autotune.shown, ways))
                task.observer.phase(f"choosing an engine for {condition} ({engines})")
            way, why = autotune.choose(lane, task.data, task.schedule, state, c, ways, cache.measured())
            chosen.append(way)
            refused = plans.refusals(cell).get("event")
            if refused and task.engine == "auto" and not plans.in_lockstep(cell.trials):
                why = f"{why}; not by event: {refused}".removeprefix("; ")
            if why:
                task.observer.chose(condition, autotune.shown(way), why)
        return dataclasses.replace(state, ways=tuple(chosen))

    def n_windows(self, lane: Lane, schedule: Schedule) -> int:
        """Windows of the whole training."""
        return training.n_windows(lane, schedule)

    def arrays(self, state: LaneState) -> dict[str, Any]:
        """What the networks have learned, the labels of their neurons and their responses to each class."""
        # orbax would store a None, and then miss it where there is one more of them
        learned = [{key: x for key, x in vars(cell).items() if x is not None} for cell in state.learned]
        return {"learned": learned, "labels": list(state.labels), "responses": list(state.responses)}

    def fields(self, like: LaneState, arrays: dict[str, Any]) -> dict[str, Any]:
        """The fields of the state that `arrays` were saved from."""
        del like
        return {
            "learned": tuple(Learned(**cell) for cell in arrays["learned"]),
            "labels": tuple(np.asarray(x) for x in arrays["labels"]),
            "responses": tuple(np.asarray(x) for x in arrays["responses"]),
        }

    def train(
        self,
        lane: Lane,
        data: Dataset,
        schedule: Schedule,
        state: LaneState,
        on_progress: Callable[[int], None],
        on_window: Callable[[LaneState], None],
    ) -> LaneState:
        """Train from `state` to the end of the schedule; see `jsnn.learners.plasticity.training.train`."""
        return training.train(lane, data, schedule, state, on_progress, on_window)

    def answers(self, lane: Lane, task: Task, state: LaneState) -> list[list[dict[str, Any]]]:
        """Label neurons on training images, then show test images; warns of networks that are silent."""
        schedule, readout = task.schedule, task.readout
        on_test = readout == "labelled_on_test_images"
        found = evaluation.answer(
            lane, task.data, schedule, state.learned, task.observer.progress, state.responses, on_test
        )
        lines = []
        for cell, answered in zip(lane.cells, found, strict=True):
            for i, a in zip(cell.index, answered, strict=True):
                if a.silent > SILENT:
                    what = f"trial {i} is silent: no neuron fires at {100 * a.silent:.0f} % of the test images"
                    task.observer.warn(f"{what}, which have no answer; more drive (network.gain) may help")
            lines.append([_line(a, schedule, readout, cell.trials.network.n_neurons) for a in answered])
        return lines


def _line(a: evaluation.Answers, schedule: Schedule, readout: str, n_neurons: int) -> dict[str, Any]:
    return {
        "n_presentations": schedule.n_train * schedule.epochs,
        "n_assign": schedule.n_assign,
        "readout": readout,
        "accuracy": a.accuracy[readout],
        "readouts": a.accuracy,
        "confusions": a.confusion,
        "neuron_labels": a.labels.tolist(),
        "input_spikes": a.input_spikes,
        "output_spikes": a.output_spikes,
        "theta_mean": a.theta,
        "synaptic_operations": a.input_spikes * n_neurons + a.output_spikes * (n_neurons - 1),
    }
