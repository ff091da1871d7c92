"""Who watches a run: a progress bar, a logger, a test."""

from collections.abc import Sequence
from typing import Any


class Observer:
    """Callbacks of a run, which do nothing here: a class that watches derives from this one.

    An `entry` is a trial and what it is called (`jsnn.runs.config.Entry`).
    """

    def lane(self, number: int, entries: Sequence[Any], presentations: int) -> None:
        """A lane begins: its trials, and how many presentations are still to come."""

    def phase(self, what: str, presentations: int = 0) -> None:
        """What comes next: "training" or "answers", with so many presentations of all trials of the lane, after their
        programs are compiled; or something without presentations, such as "measuring engines".
        """

    def earlier(self, n: int) -> None:
        """`n` presentations were done before this process began."""

    def progress(self, n: int) -> None:
        """`n` more presentations are done."""

    def interim(self, entry: Any, seen: int, measured: dict[str, float]) -> None:
        """A trial's accuracy in the training window just finished, and what else was measured; after `seen`
        presentations.
        """

    def finished(self, record: dict[str, Any]) -> None:
        """A trial's result."""

    def chose(self, condition: str, way: str, why: str) -> None:
        """How the trials of a condition are trained, and why."""

    def warn(self, message: str) -> None:
        """Something went wrong that the run survives."""
