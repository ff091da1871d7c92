"""What a run does with a lane (`jsnn.grid.groups`), whatever its networks learn by: begin, train, save, and write down.

`jsnn.runs.lanes.plasticity` and `jsnn.runs.lanes.gradient` have the functions of `Kind`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from jsnn.data import Dataset
from jsnn.grid.groups import Lane, LaneState, Schedule
from jsnn.runs.config import Config, Entry
from jsnn.runs.records import CompileClock


class Observer(Protocol):
    """Who watches a run: every method may do nothing."""

    def lane(self, number: int, entries: Sequence[Entry], presentations: int) -> None:
        """A lane begins: its trials, and how many presentations are still to come."""
        ...

    def phase(self, what: str, presentations: int = 0) -> None:
        """What comes next: "training" or "answers", with so many presentations of all trials of the lane, after their
        programs are compiled; or something without presentations, such as "measuring engines".
        """
        ...

    def earlier(self, n: int) -> None:
        """`n` presentations were done before this process began."""
        ...

    def progress(self, n: int) -> None:
        """`n` more presentations are done."""
        ...

    def interim(self, entry: Entry, seen: int, measured: dict[str, float]) -> None:
        """A trial's accuracy in the training window just finished, and what else was measured; after `seen`
        presentations.
        """
        ...

    def finished(self, record: dict[str, Any]) -> None:
        """A trial's result."""
        ...

    def chose(self, entry: Entry, way: str, why: str) -> None:
        """How the cell of a trial is trained, and why."""
        ...

    def warn(self, message: str) -> None:
        """Something went wrong that the run survives."""
        ...


@dataclasses.dataclass(frozen=True)
class Job:
    """What stays the same while a study runs."""

    cfg: Config
    data: Dataset
    schedule: Schedule
    out: Path
    observer: Observer
    environment: dict[str, Any]  # what each line says of where it was made, `of` included
    of: dict[str, str]  # what states say of the study they are of (`jsnn.runs.records.hashes`)
    compiled: CompileClock
    clock: bool
    check: Callable[[], None]  # raises InputError where `out` is no longer the directory that it was


class Kind(Protocol):
    """How one kind of trials is trained and asked."""

    def start(self, lane: Lane) -> LaneState:
        """Untrained networks."""
        ...

    def begin(self, job: Job, lane: Lane) -> LaneState:
        """Untrained networks, and all decisions made on how to train them."""
        ...

    def n_windows(self, lane: Lane, schedule: Schedule) -> int:
        """Of the whole training: what `LaneState.window` is at its end."""
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
        """From `state` to the end of the schedule: `on_progress(n)` hears of n more presentations, `on_window(state)`
        may save the state.
        """
        ...

    def answers(self, job: Job, lane: Lane, state: LaneState) -> list[list[dict[str, Any]]]:
        """[cell][trial]: what a line of results.jsonl says of the trained networks' answers."""
        ...
