"""Statistics over the seeds of a study: intervals of means, effects of factors and interactions, paired comparisons.

A table is float[levels of the first factor, ..., levels of the last one, n_seeds], for example accuracies of encoder x
neuron x rule x seed. The distributions and the corrections are scipy's.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from scipy import stats

from jsnn.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval by Student's t, as if seeds were draws from a normal distribution."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the interval's width: the number after ±."""
        return self.high - self.mean


@dataclasses.dataclass(frozen=True)
class Effect:
    """The effect of one factor, or of the interaction of several, in an analysis of variance."""

    factors: tuple[str, ...]
    share: float  # share of the sum of squares of the whole table (eta squared)
    f: float
    p: float


@dataclasses.dataclass(frozen=True)
class Contrast:
    """The comparison of two levels of a factor, all else equal."""

    factor: str
    a: str
    b: str
    difference: Interval  # a - b
    p: float  # corrected for the number of contrasts


def interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """Compute the mean of two or more values and its confidence interval.

    Args:
        values: One value for each seed.
        level: Confidence level.

    Returns:
        The interval.

    Raises:
        InputError: There are fewer than 2 values.
    """
    if len(values) < 2:
        raise InputError(f"an interval needs 2 seeds or more, there is {len(values)}")
    mean = float(np.mean(values))
    half = float(stats.sem(values) * stats.t.ppf((1 + level) / 2, len(values) - 1))
    return Interval(mean, mean - half, mean + half)


def effects(table: np.ndarray, factors: Sequence[str]) -> list[Effect]:
    """Analyse the variance of a balanced table in which each seed is a block.

    All conditions of a seed share its images and their order, so what a seed shifts everywhere is not counted as noise.

        y[i, j, ..., s] = mean + effects of all subsets of the factors + block[s] + residual

    Args:
        table: [levels of each factor ..., n_seeds].
        factors: Names of the factors.

    Returns:
        The effects, the largest share of variance first.

    Raises:
        InputError: There are fewer than 2 seeds, and so no residual.
    """
    if table.shape[-1] < 2:
        raise InputError(f"effects need 2 seeds or more, there is {table.shape[-1]}")
    axes = range(table.ndim)
    parts: dict[tuple[int, ...], np.ndarray] = {(): np.mean(table, keepdims=True)}
    for order in range(1, table.ndim):
        for subset in itertools.combinations(axes[:-1], order):
            other_axes = tuple(axis for axis in axes if axis not in subset)
            lower_orders = sum(parts[s] for k in range(order) for s in itertools.combinations(subset, k))
            parts[subset] = np.mean(table, axis=other_axes, keepdims=True) - lower_orders
    block = np.mean(table, axis=tuple(axes[:-1]), keepdims=True) - parts[()]
    residual = table - sum(parts.values()) - block
    freedom = (table[..., 0].size - 1) * (table.shape[-1] - 1)
    noise = np.sum(residual**2) / freedom
    total = np.sum((table - parts[()]) ** 2)
    effects_ = []
    for subset, part in parts.items():
        if subset:
            squares, degrees = table.size / part.size * np.sum(part**2), np.prod([table.shape[a] - 1 for a in subset])
            f = squares / degrees / noise
            p = float(stats.f.sf(f, degrees, freedom))
            effects_.append(Effect(tuple(factors[a] for a in subset), float(squares / total), float(f), p))
    return sorted(effects_, key=lambda effect: -effect.share)


def contrasts(table: np.ndarray, factors: Sequence[str], levels: Sequence[Sequence[str]]) -> list[Contrast]:
    """Compare all pairs of levels of each factor, averaged over the other factors and paired by seed (t-test).

    p is corrected for the number of pairs (Benjamini & Yekutieli 2001: they depend on each other).

    Args:
        table: [levels of each factor ..., n_seeds].
        factors: Names of the factors.
        levels: Names of the levels of each factor.

    Returns:
        One contrast for each pair of levels of each factor.
    """
    pairs = []
    for axis, (factor, names) in enumerate(zip(factors, levels, strict=True)):
        other_axes = tuple(a for a in range(table.ndim - 1) if a != axis)
        by_seed = np.mean(table, axis=other_axes)
        for i, j in itertools.combinations(range(len(names)), 2):
            p = float(stats.ttest_rel(by_seed[i], by_seed[j]).pvalue)
            pairs.append(Contrast(factor, names[i], names[j], interval(by_seed[i] - by_seed[j]), p))
    corrected = stats.false_discovery_control([contrast.p for contrast in pairs], method="by")
    return [dataclasses.replace(c, p=float(p)) for c, p in zip(pairs, corrected, strict=True)]
