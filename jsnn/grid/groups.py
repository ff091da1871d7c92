"""Trials of a study, grouped so that each program is compiled once and each input raster is drawn once.

    trials  --same structure-->  cells   (one program; its trials' numbers are stacked, [n_trials, ...])
    cells   --same inputs----->  lanes   (one stream of rasters, shown to several networks)

A lane is the unit of work: its cells train side by side, window by window, then answer. Its state between two windows
is all there is to save (`LaneState`).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jsnn.core.pytree import Node, node
from jsnn.engines.stimulus import Inputs


@node
class Trial(Node):
    """One run: what a network is shown, the network, and how it learns."""

    inputs: Inputs
    network: Any  # of the kind that the learner trains
    learner: Any  # jsnn.learners.Learner


@dataclasses.dataclass(frozen=True)
class Cell:
    """Trials of one structure: the stacked numbers, and which trials of the study they are."""

    trials: Trial  # leaves [n_trials, ...]
    index: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Lane:
    """Cells that see the same inputs."""

    inputs: Inputs  # leaves [n_trials, ...]
    cells: tuple[Cell, ...]

    @property
    def learner(self) -> Any:
        """The learner of its trials, whose numbers have a leading axis: it trains and evaluates the whole lane."""
        return self.cells[0].trials.learner


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How much is shown: the whole of `n_train` images `epochs` times, in windows of which each is a point of
    the curve.
    """

    n_train: int
    n_assign: int
    n_test: int
    epochs: int = 1
    windows: int = 20  # an epoch
    test_passes: int = 1  # through the test images

    @property
    def n_answers(self) -> int:
        """Presentations that a frozen network answers."""
        return self.n_assign + self.n_test * self.test_passes

    @property
    def n_presentations(self) -> int:
        """All of a trial."""
        return self.n_train * self.epochs + self.n_answers


@dataclasses.dataclass(frozen=True)
class Way:
    """How a cell is trained: by which engine, and how many of its trials a device computes at once."""

    engine: str
    at_once: int = 1


@dataclasses.dataclass
class LaneState:
    """Everything a lane needs to go on after a window."""

    learned: tuple[Any, ...]  # Learned, or TrainState, a cell; leaves [n_trials, ...]
    labels: tuple[np.ndarray, ...]  # int32[n_trials, n_neurons] of the window before, -1 at first
    responses: tuple[np.ndarray, ...]  # [n_trials, n_classes, n_neurons], mean counts a class, summed over the windows
    curves: list[list[list[tuple[int, float]]]]  # [cell][trial] -> (presentations, accuracy in the window)
    timed: list[tuple[int, float]]  # presentations and seconds, a cell, but for each run's first block: it may compile
    ways: tuple[Way, ...]  # how each cell is trained: to its end, as engines differ in rounding
    window: int = 0
    measured: tuple[dict[str, float], ...] = ()  # of each trial in the window just finished, for who watches


def stack(trees: Sequence[Any]) -> Any:
    """Trees of one structure -> one tree whose leaves have a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(jnp.asarray(leaf)) for leaf in leaves]), *trees)


def take(tree: Any, i: int) -> Any:
    """One of the stacked trees."""
    return jax.tree.map(lambda leaf: leaf[i], tree)


def plan(trials: Sequence[Trial]) -> list[Lane]:
    """Group trials into cells and cells into lanes, in order of first appearance.

    Cells of learners that share inputs (`Learner.shares_inputs`) and see the same ones are one lane; each cell of
    another learner is a lane of its own.
    """
    by_structure: dict[Any, list[int]] = {}
    for i, t in enumerate(trials):
        by_structure.setdefault(jax.tree.structure(t), []).append(i)
    lanes: dict[Any, list[Cell]] = {}
    for index in by_structure.values():
        cell = Cell(trials=stack([trials[i] for i in index]), index=tuple(index))
        learner, (leaves, structure) = cell.trials.learner, jax.tree.flatten(cell.trials.inputs)
        shared = type(learner) if learner.shares_inputs else cell.index
        lanes.setdefault((shared, structure, *(np.asarray(x).tobytes() for x in leaves)), []).append(cell)
    return [Lane(inputs=cells[0].trials.inputs, cells=tuple(cells)) for cells in lanes.values()]
