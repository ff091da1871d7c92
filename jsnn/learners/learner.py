"""What a learner is: how the trials of a lane (`jsnn.grid.groups`) begin, learn, are saved, and are evaluated.

A run asks the learner of its trials and never which kind of trials they are. A learner is a frozen dataclass
(`jsnn.core.pytree.node`): its numbers are leaves, and its methods are pure but for the callbacks that they are given.
`jsnn.learners.gradient_learner.GradientLearner` has all of them but one for learners that follow a gradient.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from jsnn.data import Dataset
from jsnn.grid.groups import Lane, LaneState, Schedule, Trial
from jsnn.grid.observer import Observer


@dataclasses.dataclass(frozen=True)
class Task:
    """What a learner is given to do: images, how many of them are shown, the options of [run], and who watches."""

    data: Dataset
    schedule: Schedule
    observer: Observer
    engine: str  # run.engine
    grid: str | int  # run.grid
    readout: str  # run.readout
    conditions: Sequence[str]  # of each trial of the study: "poisson x lif x stdp"


@runtime_checkable
class Learner(Protocol):
    """How trials learn. Beside the methods it has attributes of its class: `shares_inputs`, whether lanes of several
    networks are shown the same spikes; `labels_neurons`, whether training images label the neurons of a frozen network;
    `unread`, the keys of [run] and [data] that have no effect on it.
    """

    def network(self, neuron: Any, rule: Any) -> Any:
        """The network of a config that says nothing of it, of such neurons; `rule` is the entry on the axis "rule"."""
        ...

    def check(self, trial: Trial, where: str) -> None:
        """Raises InputError, beginning with `where`, if the parts and numbers of a trial do not go together."""
        ...

    def check_data(self, trial: Trial, encoder: str, data: Dataset) -> None:
        """Raises InputError if the network of a trial, whose encoder has this name, cannot see these images."""
        ...

    def check_options(self, lane: Lane, engine: str, grid: str | int) -> None:
        """Raises InputError if the trials of a lane cannot be trained as `run.engine` and `run.grid` say."""
        ...

    def program(self, trial: Trial) -> Any:
        """What trials that share a compiled program have in common: hashable."""
        ...

    def footprint(self, lane: Lane) -> int:
        """Bytes that a lane needs at least."""
        ...

    def needs_one_device(self, trial: Trial) -> bool:
        """Whether a single trial is computed by one device, which then may use all cores."""
        ...

    def start(self, lane: Lane, n_classes: int) -> LaneState:
        """Untrained networks, for data of so many classes."""
        ...

    def begin(self, lane: Lane, task: Task) -> LaneState:
        """Untrained networks, and all decisions made on how to train them."""
        ...

    def n_windows(self, lane: Lane, schedule: Schedule) -> int:
        """Windows of the whole training: what `LaneState.window` is at its end."""
        ...

    def arrays(self, state: LaneState) -> dict[str, Any]:
        """What is saved of a state as arrays."""
        ...

    def fields(self, like: LaneState, arrays: dict[str, Any]) -> dict[str, Any]:
        """The fields of the state that these arrays were saved from; `like` is one of `start`."""
        ...

    def train(
        self,
        lane: Lane,
        data: Dataset,
        schedule: Schedule,
        state: LaneState,
        on_progress: Callable[[int], None],
        on_window: Callable[[LaneState], None],
    ) -> LaneState:
        """Train from `state` to the end of the schedule: `on_progress(n)` hears of n more presentations,
        `on_window(state)` may save the state.
        """
        ...

    def answers(self, lane: Lane, task: Task, state: LaneState) -> list[list[dict[str, Any]]]:
        """What a line of results.jsonl says of the trained networks' answers, [cell][trial]."""
        ...
