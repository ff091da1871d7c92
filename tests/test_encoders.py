"""Encoders against the laws they state: exact distributions (scipy), brute force, and what holds for all of them.

Draws are compared with a law by a z-score, at most K standard errors, or by a chi-squared test at P. Seeds are fixed,
so a test that passes always passes; a wrong law misses by tens of standard errors at these sizes.
"""

import dataclasses
import math
from functools import partial

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given

from jsnn.encoders import ENCODERS, Bernoulli, BindsnetBernoulli, BindsnetPoisson, BindsnetRankOrder, Poisson, RankOrder

K, P = 4.5, 1e-4


# Most tests use these shapes, and so one compiled program for each encoder.
N_STEPS, N_PIXELS = 300, 2000


@partial(jax.jit, static_argnames="n_steps")
def encode(encoder, key, image, n_steps, dt):
    return encoder.encode(key, image, n_steps, dt)


def raster(encoder, image, n_steps=N_STEPS, dt=1.0, seed=0):
    return np.asarray(encode(encoder, jax.random.key(seed), np.asarray(image, np.float32), n_steps, dt))


def assert_probability(spikes, p):
    """The share of ones among independent draws."""
    n = spikes.size
    assert abs(spikes.mean() - p) <= K * math.sqrt(p * (1 - p) / n), (spikes.mean(), p)


def assert_law(values, pmf, support):
    """Chi-squared of integer `values` against `pmf`, rare values together in one more bin."""
    observed = np.array([np.sum(values == k) for k in support] + [np.sum(~np.isin(values, support))])
    expected = np.array([pmf(k) for k in support])
    expected = np.append(expected, max(1 - expected.sum(), 0)) * len(values)
    rare = expected < 10
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    if expected[-1] < 1e-6:
        assert observed[-1] == 0, "values where there should be none"
        observed, expected = observed[:-1], expected[:-1]
    assert len(expected) > 2, "nothing to compare"
    result = scipy.stats.chisquare(observed, expected * observed.sum() / expected.sum())
    assert result.pvalue > P, (result, observed, expected.round(1))


def intervals(spikes, number):
    """Steps from spike `number` to the next one of each train (number 0: from the onset), where there are both."""
    times = [np.flatnonzero(train) + 1 for train in spikes.T]
    return np.array([np.diff(np.append(0, train))[number] for train in times if len(train) > number])


# ---------------------------------------------------------------- Poisson


@pytest.mark.parametrize(("x", "dt"), [(1.0, 1.0), (0.5, 1.0), (0.1, 1.0), (1.0, 0.5), (0.7, 4.0)])
def test_poisson_bins(x, dt):
    """Probability of a bin, mean and variance of counts (binomial), and independence of bins and pixels."""
    spikes = raster(Poisson(intensity=128.0), np.full(N_PIXELS, x), dt=dt)
    p = 1 - math.exp(-128.0 * x * dt / 1000)
    assert_probability(spikes, p)

    n = 100
    counts = spikes.reshape(-1, n, N_PIXELS).sum(axis=1).ravel()
    mean, variance = n * p, n * p * (1 - p)
    assert abs(counts.mean() - mean) <= K * math.sqrt(variance / counts.size)
    kurtosis = 3 + (1 - 6 * p * (1 - p)) / variance
    error = variance * math.sqrt((kurtosis - 1) / counts.size)
    assert abs(counts.var() - variance) <= K * error

    z = (spikes - p) / math.sqrt(p * (1 - p))
    for lag in (1, 2, 3, 10):
        products = z[lag:] * z[:-lag]
        assert abs(products.mean()) <= K / math.sqrt(products.size), f"bins {lag} apart are correlated"
    products = z[:, 1:] * z[:, :-1]
    assert abs(products.mean()) <= K / math.sqrt(products.size), "neighbouring pixels are correlated"


def test_poisson_intervals_are_geometric():
    spikes = raster(Poisson(intensity=128.0), np.ones(N_PIXELS))
    p = 1 - math.exp(-0.128)
    for number in (0, 1, 5):  # far from the end, which would cut long ones off
        assert_law(intervals(spikes, number), scipy.stats.geom(p).pmf, range(1, 60))


def test_poisson_tends_to_the_poisson_law():
    """Counts of 40 ms at 250 Hz: the law of mean 10 for short bins, narrower by a factor exp(-r dt) for long ones."""
    law = scipy.stats.poisson(10)
    fine = raster(Poisson(intensity=250.0), np.ones(N_PIXELS), dt=40 / N_STEPS).sum(axis=0)
    assert_law(fine, law.pmf, range(40))
    coarse = raster(Poisson(intensity=250.0), np.ones(N_PIXELS), dt=2.0).reshape(-1, 20, N_PIXELS).sum(axis=1).ravel()
    with pytest.raises(AssertionError):
        assert_law(coarse, law.pmf, range(40))
    assert_law(coarse, scipy.stats.binom(20, 1 - math.exp(-0.5)).pmf, range(21))

    for dt in (2.0, 1.0, 0.5):  # the mean's shortfall is (r dt) / 2 to first order: halving dt halves it
        rate = 250 * dt / 1000
        p = 1 - math.exp(-rate)
        mean = raster(Poisson(intensity=250.0), np.ones(N_PIXELS), dt=dt).mean() / rate
        error = K * math.sqrt(p * (1 - p) / (N_STEPS * N_PIXELS)) / rate
        assert abs(mean - p / rate) < error < (1 - p / rate) / 2


# ---------------------------------------------------------------- Bernoulli


@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_bernoulli_is_a_coin(dt):
    image = np.repeat([0.0, 0.3, 0.8, 1.0], N_PIXELS // 4)
    spikes = raster(Bernoulli(max_probability=0.6), image, dt=dt).reshape(N_STEPS, 4, -1)
    assert not spikes[:, 0].any()
    for k, x in [(1, 0.3), (2, 0.8), (3, 1.0)]:
        assert_probability(spikes[:, k], 0.6 * x)
    assert raster(Bernoulli(max_probability=1.0), np.ones(N_PIXELS)).all()


def test_bernoulli_intervals_are_geometric():
    spikes = raster(Bernoulli(max_probability=0.128), np.ones(N_PIXELS))
    for number in (0, 3):
        assert_law(intervals(spikes, number), scipy.stats.geom(0.128).pmf, range(1, 60))


def test_bernoulli_can_match_the_drive_of_poisson():
    """max_probability = intensity * dt / 1000, as its docstring says, up to the events that share a Poisson bin."""
    image = np.linspace(0.05, 1, N_PIXELS)
    drive = raster(Bernoulli(max_probability=0.128), image).sum() / N_STEPS
    poisson = raster(Poisson(intensity=128.0), image).sum() / N_STEPS
    p = 0.128 * image
    assert abs(drive - p.sum()) < K * math.sqrt((p * (1 - p)).sum() / N_STEPS)
    assert 0.93 < poisson / drive < 0.99


# ---------------------------------------------------------------- rank order

levels = st.lists(st.integers(0, 255), min_size=12, max_size=12)


def ranks(image):
    """How many pixels are brighter, for each pixel that is on."""
    return {i: sum(other > x for other in image) for i, x in enumerate(image) if x > 0}


@given(levels, st.sampled_from([7, 30]))
def test_rank_order_is_the_rank(image, n_steps):
    spikes = raster(RankOrder(), np.array(image) / 255, n_steps)
    want = np.zeros((n_steps, len(image)), bool)
    on = sum(x > 0 for x in image)
    for i, rank in ranks(image).items():
        want[n_steps * rank // on, i] = True
    np.testing.assert_array_equal(spikes, want)
    np.testing.assert_array_equal(spikes.sum(axis=0), np.array(image) > 0)  # each non-zero pixel once


@given(levels, st.sampled_from(["square", "root", "logistic", "dim"]))
def test_rank_order_sees_only_the_order(image, transformation):
    x = np.array(image) / 255
    monotone = {
        "square": lambda x: x**2,
        "root": np.sqrt,
        "logistic": lambda x: np.where(x > 0, 1 / (1 + np.exp(4 - 8 * x)), 0),
        "dim": lambda x: 0.1 * x,
    }[transformation]
    np.testing.assert_array_equal(raster(RankOrder(), monotone(x), 30), raster(RankOrder(), x, 30))


def test_rank_order_of_equal_pixels_and_none():
    image = np.array([0.5, 1.0, 0.5, 0.0, 0.2, 0.5, 0, 0, 0, 0, 0, 0])
    spikes = raster(RankOrder(), image, 30)
    np.testing.assert_array_equal(np.argwhere(spikes), [[0, 1], [6, 0], [6, 2], [6, 5], [24, 4]])
    assert raster(RankOrder(), np.full(12, 0.3), 30)[0].all()
    assert not raster(RankOrder(), np.zeros(12), 30).any()


# ---------------------------------------------------------------- BindsNET's


def clipped_poisson(rate):
    """max(1, Poisson(rate))."""
    law = scipy.stats.poisson(rate)
    return lambda k: law.pmf(0) * (k == 1) + law.pmf(k) if k >= 1 else 0.0


@pytest.mark.parametrize(
    ("intensity", "level", "dt"),
    [(128, 255, 1.0), (128, 128, 1.0), (32, 255, 1.0), (64, 255, 0.5), (900, 255, 1.0)],
)
def test_bindsnet_poisson_intervals(intensity, level, dt):
    """All intervals have the stated law, the first counted from the onset, whatever their number."""
    rate = 1000 / (dt * intensity * level / 255)
    spikes = raster(BindsnetPoisson(intensity=float(intensity)), np.full(N_PIXELS, level / 255), dt=dt)
    for number in (0, 1, 2):
        assert_law(intervals(spikes, number), clipped_poisson(rate), range(1, N_STEPS))
    first, second = intervals(spikes, 0), intervals(spikes, 1)
    assert len(first) == len(second) == N_PIXELS  # the end cuts none off
    assert abs(np.corrcoef(first, second)[0, 1]) < K / math.sqrt(N_PIXELS), "intervals depend on each other"


def renewal_counts(pmf, n_steps):
    """P(count = n in n_steps) of a renewal process that starts at 0, by convolving the interval's law."""
    interval = np.array([pmf(k) for k in range(n_steps + 1)])
    when, at_least = np.eye(1, n_steps + 1)[0], []  # law of the time of spike n
    while when.sum() > 1e-12:
        at_least.append(when.sum())
        when = np.convolve(when, interval)[: n_steps + 1]
    return -np.diff(np.append(at_least, 0))


@pytest.mark.parametrize(("intensity", "mean", "fano"), [(128.0, 12.4, 0.14), (64.0, 5.97, None), (32.0, 2.77, None)])
def test_bindsnet_poisson_counts(intensity, mean, fano):
    """Mean counts of 100 ms as BindsNET's were measured (version 0.3.4), and the exact law of the counts."""
    counts = raster(BindsnetPoisson(intensity=intensity), np.ones(N_PIXELS))[:100].sum(axis=0)
    law = renewal_counts(clipped_poisson(1000 / intensity), 100)
    exact = law @ np.arange(len(law))
    assert abs(exact - mean) < 0.05
    assert abs(counts.mean() - exact) < K * counts.std() / math.sqrt(counts.size)
    assert_law(counts, lambda k: law[k], range(len(law)))
    if fano:
        assert abs(counts.var() / counts.mean() - fano) < 0.02


def test_bindsnet_poisson_is_regular():
    """CV .36 at 128 Hz and 1 ms (1 for a Poisson process), as sqrt(1 / lambda) says."""
    spikes = raster(BindsnetPoisson(), np.ones(N_PIXELS))
    gaps = np.concatenate([intervals(spikes, k) for k in range(10)])
    cv = gaps.std() / gaps.mean()
    assert abs(cv - math.sqrt(0.128)) < 0.01 and abs(cv - 0.36) < 0.01


def test_bindsnet_poisson_zero_is_silent_and_dim_is_not():
    image = np.repeat([0.0, 0.4 / 255, 1 / 255, 1.0], N_PIXELS // 4)
    spikes = raster(BindsnetPoisson(intensity=2000.0), image).reshape(N_STEPS, 4, -1)
    assert not spikes[:, :2].any()  # 0.4 / 255 is rounded to 0
    assert spikes[:, 2].any(axis=0).all() and spikes[:, 3].any(axis=0).all()


def test_bindsnet_poisson_hazard_is_a_probability():
    for dt, intensity, n_steps in [(1.0, 128.0, 250), (0.5, 63.75, 250), (1.0, 2000.0, 250), (1.0, 1.0, 250)]:
        encoder = BindsnetPoisson(intensity=intensity)
        hazard = np.asarray(jax.jit(BindsnetPoisson.hazard, static_argnums=1)(encoder, n_steps, dt))
        assert hazard.shape == (256, n_steps + 1)
        assert np.isfinite(hazard).all() and hazard.min() >= 0 and hazard.max() <= 1
        level = 200
        law = scipy.stats.poisson(1000 / (dt * intensity * level / 255))
        survival = law.sf(np.arange(n_steps + 1) - 1)
        sure = survival > 0.01  # elsewhere the remainder is rounded, and little happens
        sure[:2] = False
        exact = law.pmf(np.arange(n_steps + 1)) / np.maximum(survival, 1e-9)
        np.testing.assert_allclose(hazard[level][sure], exact[sure], rtol=1e-3, atol=1e-6)


@given(levels)
def test_bindsnet_bernoulli_divides_by_the_maximum(image):
    """The very draws of a plain Bernoulli on the image scaled to its maximum; so brightness has no effect."""
    x = np.array(image, np.float32) / np.float32(255)
    scaled = x / max(x.max(), np.float32(1e-6))
    spikes = raster(BindsnetBernoulli(max_probability=0.7), x, 20)
    np.testing.assert_array_equal(spikes, raster(Bernoulli(max_probability=0.7), scaled, 20))
    np.testing.assert_array_equal(spikes, raster(BindsnetBernoulli(max_probability=0.7), x / 2, 20, dt=0.1))


def test_bindsnet_bernoulli_fires_at_the_stated_rate():
    image = np.repeat([0.0, 0.125, 0.25, 0.5], 15)
    spikes = np.stack([raster(BindsnetBernoulli(), image, 50, seed=seed) for seed in range(20)]).reshape(1000, 4, 15)
    assert spikes[:, 3].all() and not spikes[:, 0].any()
    assert_probability(spikes[:, 1], 0.25)
    assert_probability(spikes[:, 2], 0.5)


@given(levels, st.sampled_from([100, 250]))
def test_bindsnet_rank_order_is_the_formula(image, n_steps):
    spikes = raster(BindsnetRankOrder(), np.array(image) / 255, n_steps)
    want = np.zeros((n_steps, len(image)), bool)
    dimmest = min((x for x in image if x > 0), default=0)
    for i, x in enumerate(image):
        if x > 0:
            time = -(-n_steps * dimmest // x)  # ceil, exactly
            if time < n_steps:
                want[time - 1, i] = True
    np.testing.assert_array_equal(spikes, want)


# ---------------------------------------------------------------- all

every_encoder = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
IMAGES = np.round(np.random.default_rng(0).random((3, 60)) * 255) / 255 * (np.arange(60) % 3 > 0)
DETERMINISTIC = ("rank_order", "bindsnet_rank_order")


@every_encoder
def test_output_is_bool_of_the_stated_shape(encoder):
    spikes = raster(encoder, IMAGES[0], 50)
    assert spikes.shape == (50, 60) and spikes.dtype == bool and spikes.any()


@every_encoder
def test_blank_is_silent(encoder):
    assert not raster(encoder, np.zeros(60), 50).any()


@every_encoder
def test_vmap_over_images_is_a_loop(encoder):
    images, keys = np.asarray(IMAGES, np.float32), jax.random.split(jax.random.key(1), 3)
    loop = [encode(encoder, key, image, 50, 1.0) for key, image in zip(keys, images, strict=True)]
    together = jax.vmap(encode, (None, 0, 0, None, None))(encoder, keys, images, 50, 1.0)
    np.testing.assert_array_equal(together, jnp.stack(loop))


@pytest.mark.parametrize("name", ENCODERS)
def test_the_key_decides(name):
    encoder = ENCODERS[name]
    first = raster(encoder, IMAGES[0], 50, seed=1)
    np.testing.assert_array_equal(first, raster(encoder, IMAGES[0], 50, seed=1))
    different = (first != raster(encoder, IMAGES[0], 50, seed=2)).any()
    assert different != (name in DETERMINISTIC)


@every_encoder
def test_brighter_pixels_do_not_fire_later_or_less(encoder):
    """Over 20 copies of each level: first spikes earlier, and no fewer of them."""
    image = np.repeat([0.2, 0.5, 1.0], 20)
    spikes = raster(encoder, image, 50).reshape(50, 3, 20)
    first = np.where(spikes.any(axis=0), spikes.argmax(axis=0), 50).mean(axis=1)
    counts = spikes.sum(axis=(0, 2))
    assert first[0] > first[1] > first[2]
    assert counts[0] <= counts[1] <= counts[2]


def test_intensity_is_a_number_to_sweep():
    encoders = [dataclasses.replace(Poisson(), intensity=i) for i in (0.0, 60.0, 250.0)]
    counts = [raster(encoder, np.ones(100), 100).sum() for encoder in encoders]
    assert counts[0] == 0 and 0 < counts[1] < counts[2]
