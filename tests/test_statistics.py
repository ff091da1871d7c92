"""Statistics against textbook values, formulas written out, and scipy's own tests where both apply."""

import numpy as np
import pytest
from scipy import stats

from jsnn.analysis.statistics import contrasts, effects, interval
from jsnn.core.errors import InputError


def test_interval_of_a_known_sample():
    """Student's own sleep data (1908): the ten differences have mean 1.58 and the interval [0.70, 2.46]."""
    differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    found = interval(differences)
    np.testing.assert_allclose([found.mean, found.low, found.high], [1.58, 0.7001, 2.4599], atol=1e-4)


def test_interval_covers_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 5))
    covered = np.mean([found.low <= 3.0 <= found.high for found in map(interval, draws)])
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)


def test_one_factor_is_the_randomised_block_design():
    """Against the formulas of the two-way analysis without interaction, written out."""
    table = np.random.default_rng(1).normal(size=(4, 6)) + np.arange(4)[:, None] + 3 * np.arange(6)
    (effect,) = effects(table, ["neuron"])
    rows, columns, mean = table.mean(1), table.mean(0), table.mean()
    between = 6 * np.sum((rows - mean) ** 2)
    error = np.sum((table - rows[:, None] - columns + mean) ** 2) / (3 * 5)
    np.testing.assert_allclose(effect.f, between / 3 / error)
    np.testing.assert_allclose(effect.share, between / np.sum((table - mean) ** 2))
    np.testing.assert_allclose(effect.p, stats.f.sf(effect.f, 3, 15))


def test_two_levels_are_a_paired_t_test():
    table = np.random.default_rng(2).normal(size=(2, 7))
    (effect,) = effects(table, ["rule"])
    t, p = stats.ttest_rel(*table)
    np.testing.assert_allclose([effect.f, effect.p], [t**2, p])
    (contrast,) = contrasts(table, ["rule"], [["stdp", "hebbian"]])
    np.testing.assert_allclose(contrast.p, p)
    np.testing.assert_allclose(contrast.difference.mean, np.mean(table[0] - table[1]))


def test_effects_find_what_was_put_in():
    """An encoder's effect, an interaction of neuron and rule, and nothing else; the shares are of one whole."""
    rng = np.random.default_rng(3)
    encoder, both = np.array([0.0, 1.0, 2.0]), np.array([[1.0, -1.0], [-1.0, 1.0]])
    table = encoder[:, None, None, None] + both[None, :, :, None] + 0.1 * rng.normal(size=(3, 2, 2, 5))
    table += rng.normal(size=5)  # a seed's own level is a block, not noise
    found = {effect.factors: effect for effect in effects(table, ["encoder", "neuron", "rule"])}
    assert len(found) == 7
    real = {("encoder",), ("neuron", "rule")}
    assert all((effect.p < 1e-10) == (factors in real) for factors, effect in found.items())
    assert sum(effect.share for effect in found.values()) < 1
    exact = table.mean(axis=-1, keepdims=True) + np.zeros(5)
    without_noise = effects(exact + 1e-9 * rng.normal(size=table.shape), ["encoder", "neuron", "rule"])
    np.testing.assert_allclose(sum(effect.share for effect in without_noise), 1, atol=1e-6)


def test_contrasts_are_corrected():
    """Of ten levels that are all the same, hardly ever one pair is said to differ; p is never smaller than alone."""
    rng = np.random.default_rng(4)
    names = [[str(i) for i in range(10)]]
    false = sum(min(c.p for c in contrasts(rng.normal(size=(10, 5)), ["x"], names)) < 0.05 for _ in range(40))
    assert false <= 3
    table = rng.normal(size=(10, 5))
    for c in contrasts(table, ["x"], names):
        assert c.p >= stats.ttest_rel(table[int(c.a)], table[int(c.b)]).pvalue


def test_one_seed_has_no_interval():
    with pytest.raises(InputError, match="2 seeds"):
        interval([0.5])
    with pytest.raises(InputError, match="2 seeds"):
        effects(np.ones((2, 1)), ["x"])
