"""Events like those of N-MNIST, from any image: a sensor that moves before a display, simulated.

N-MNIST was recorded by an event camera (ATIS) on a pan-tilt head, which made three saccades of about 100 ms each before
a display that showed MNIST's images. Here the image moves instead:

    L(p, t) = log(1 + contrast * I(p - path(t)))                log luminance at pixel p, I in 0..1, bilinear
    ON  where L(p, t) + leak * t - reference >= threshold_on,   then reference += threshold_on
    OFF where L(p, t) + leak * t - reference <= -threshold_off, then reference -= threshold_off

The thresholds of a pixel differ from the sensor's (mismatch) and are the same in all recordings of a call: one sensor.
Before a recording, a pixel has been left anywhere between its two thresholds. Leak: the reference drifts, so that a
pixel that sees nothing fires ON now and then.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn.data.events import DURATION_MS, POLARITIES, SIDE, Events, check_bins, pack
from jsnn.errors import InputError
from jsnn.pytree import node
from jsnn.ranges import Finite, NonNegative, Positive

PATH_STEP_MS = 7.0
PATH = (
    (0.51, 1.26),
    (0.50, 1.28),
    (0.48, 1.38),
    (0.44, 1.64),
    (0.39, 2.20),
    (0.37, 2.77),
    (0.36, 3.63),
    (0.42, 4.54),
    (0.65, 5.38),
    (1.22, 6.11),
    (1.54, 6.40),
    (1.77, 6.55),
    (1.83, 6.60),
    (1.86, 6.60),
    (2.13, 6.55),
    (2.18, 6.51),
    (2.27, 6.49),
    (2.41, 6.48),
    (2.65, 6.40),
    (3.21, 6.17),
    (3.61, 5.52),
    (4.19, 4.69),
    (4.39, 3.80),
    (4.53, 3.22),
    (4.76, 2.37),
    (5.17, 1.74),
    (5.28, 1.55),
    (5.36, 1.48),
    (5.46, 1.47),
    (5.59, 1.46),
    (5.73, 1.45),
    (5.79, 1.44),
    (5.81, 1.42),
    (5.73, 1.41),
    (5.32, 1.44),
    (4.57, 1.48),
    (4.12, 1.45),
    (3.25, 1.45),
    (2.39, 1.40),
    (2.07, 1.33),
    (1.29, 1.27),
    (1.10, 1.24),
    (0.66, 1.23),
    (0.58, 1.23),
    (0.57, 1.24),
)
TIME_STEP_MS = 1.0  # at most, between two looks at the image
SACCADES_MS = (0.0, 105.0, 210.0, DURATION_MS)  # where the three saccades begin and end
CHUNK = 64  # recordings simulated at once: their pixels stay in a core's cache


@node
class Sensor:
    """What the sensor sees of an image, and when its pixels fire."""

    contrast: Finite = -0.8  # luminance of the digit against its background: -1 black on bright, 0 none, > 0 brighter
    threshold: Positive = 0.29  # log luminance, of ON and of OFF events
    mismatch: NonNegative = 0.1  # standard deviation of the log thresholds over pixels and polarities
    leak: NonNegative = 0.3  # Hz, ON events of a pixel that sees nothing


def counts(key: Array, images: Array, n_steps: int, duration_ms: float, sensor: Sensor, path: Array) -> Array:
    """How many events each time bin holds, float32 [n, n_steps, 34, 34, 2] (bin, row, column, polarity); pure.

    `images` are uint8 [n, height, width], 0 is background; `path` float32 [knots, 2], where the upper left corner of an
    image is on the sensor (right, down; pixels) every `PATH_STEP_MS`, with straight lines between. `key`: one sensor
    and the state its pixels have been left in before each recording.
    """
    of_sensor, of_recordings = jax.random.split(key)
    keys = jax.random.split(of_recordings, len(images))
    return _counts(_thresholds(of_sensor, sensor), keys, images, n_steps, duration_ms, sensor, path)


def frames(
    key: Array,
    images: np.ndarray,
    n_steps: int,
    duration_ms: float = DURATION_MS,
    sensor: Sensor | None = None,
    path: np.ndarray | None = None,
) -> np.ndarray:
    """Recordings of images in time bins, packed as `EventDataset` holds them: uint8 [n, n_steps, 289].

    A bit says that there is at least one event (`events.bin_events`). `images` are uint8 [n, height, width] or those of
    a `Dataset`, [n, 784]. `sensor` and `path` (as `counts` has it) are by default those of N-MNIST.
    Raises InputError where `n_steps` or `duration_ms` is not positive or `images` are none.
    """
    made = [pack(each > 0) for each in _chunks(key, images, n_steps, duration_ms, sensor or Sensor(), path)]
    return np.concatenate(made)


def recordings(
    key: Array,
    images: np.ndarray,
    duration_ms: float = DURATION_MS,
    sensor: Sensor | None = None,
    path: np.ndarray | None = None,
) -> list[Events]:
    """Recordings of images as lists of events, as `nmnist.read_events` gives them. Arguments as of `frames`.

    The sensor looks every `TIME_STEP_MS`; within a step, times are drawn uniformly.
    """
    n_steps = int(np.ceil(duration_ms / TIME_STEP_MS))
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    found = []
    for each in _chunks(key, images, n_steps, duration_ms, sensor or Sensor(), path):
        found += [_events(rng, recording, duration_ms) for recording in each]
    return found


def _events(rng: np.random.Generator, counts: np.ndarray, duration_ms: float) -> Events:
    """The events of one recording of counts [n_steps, 34, 34, 2], at random times within their steps."""
    where = np.repeat(np.flatnonzero(counts), counts[counts > 0].astype(np.int64))
    step, y, x, polarity = np.unravel_index(where, counts.shape)
    step_us = 1000 * duration_ms / len(counts)
    time_us = np.floor((step + rng.random(len(step))) * step_us).astype(np.int32)
    order = np.argsort(time_us, kind="stable")
    return Events(
        x=x[order].astype(np.uint8),
        y=y[order].astype(np.uint8),
        polarity=polarity[order].astype(bool),
        time_us=time_us[order],
    )


def _chunks(key: Array, images: np.ndarray, n_steps: int, duration_ms: float, sensor: Sensor, path: np.ndarray | None):
    """What `counts` gives, a few recordings at a time: all of them at once would not fit into memory."""
    check_bins(n_steps, duration_ms)
    images = _pictures(images)
    of_sensor, of_recordings = jax.random.split(key)
    keys = jax.random.split(of_recordings, len(images))
    thresholds = _thresholds(of_sensor, sensor)
    where = jnp.asarray(PATH if path is None else path, jnp.float32)
    run = jax.jit(_counts, static_argnums=(3, 4))
    for first in range(0, len(images), CHUNK):
        here = np.arange(first, first + CHUNK) % len(images)  # the last chunk is as large as the others: one program
        made = run(thresholds, keys[here], images[here], n_steps, duration_ms, sensor, where)
        yield np.asarray(made)[: len(images) - first]


def _pictures(images: np.ndarray) -> np.ndarray:
    """Images uint8 [n, height, width], of which those of a `Dataset` are rows."""
    images = np.asarray(images)
    if images.ndim == 2 and (side := int(np.sqrt(images.shape[1]))) ** 2 == images.shape[1]:
        images = images.reshape(-1, side, side)
    if images.ndim != 3 or images.dtype != np.uint8 or not len(images):
        raise InputError(
            f"images {images.dtype}{list(images.shape)}: they should be uint8[n, height, width], or uint8[n, pixels] "
            "where they are square, with n at least 1"
        )
    return images


def _thresholds(key: Array, sensor: Sensor) -> Array:
    """Each pixel's, for OFF and ON: float32 [2, 34, 34, 1]."""
    return sensor.threshold * jnp.exp(sensor.mismatch * jax.random.normal(key, (POLARITIES, SIDE, SIDE, 1)))


def _counts(thresholds, keys, images, n_steps, duration_ms, sensor, path):
    """`counts` for given thresholds and a key a recording. Recordings come last inside: they are what vectors hold."""
    off, on = thresholds
    looks = int(np.ceil(duration_ms / n_steps / TIME_STEP_MS))  # in each bin
    step_ms = duration_ms / n_steps / looks
    # so much background around it that an image on its way out is out before the edge is seen
    height, width = images.shape[1:]
    image = jnp.moveaxis(images, 0, -1).astype(jnp.float32) / 255.0
    image = jnp.pad(image, ((SIDE, SIDE + 1), (SIDE, SIDE + 1), (0, 0)))
    n = len(images)

    def log_luminance(time_ms):
        knots = jnp.arange(len(path)) * PATH_STEP_MS
        right, down = (jnp.interp(time_ms, knots, path[:, axis]) for axis in (0, 1))
        top, left = SIDE - jnp.clip(down, -height, SIDE), SIDE - jnp.clip(right, -width, SIDE)
        row, column = jnp.floor(top).astype(int), jnp.floor(left).astype(int)
        below, beside = top - row, left - column

        def window(y, x):  # four windows, and log, not log1p: several times faster on CPU (XLA fuses them)
            return jax.lax.dynamic_slice(image, (row + y, column + x, 0), (SIDE, SIDE, n))

        upper = (1 - beside) * window(0, 0) + beside * window(0, 1)
        lower = (1 - beside) * window(1, 0) + beside * window(1, 1)
        return jnp.log(1 + sensor.contrast * ((1 - below) * upper + below * lower))

    drift = sensor.leak * step_ms / 1000 * on

    def look(carry, time_ms):
        reference, all_down, all_up = carry
        change = log_luminance(time_ms) - reference + drift
        up = jnp.floor(jnp.maximum(change, 0) / on)
        down = jnp.floor(jnp.maximum(-change, 0) / off)
        return (reference - drift + up * on - down * off, all_down + down, all_up + up), None

    def time_bin(reference, times_ms):
        none = jnp.zeros((SIDE, SIDE, n))
        reference, down, up = jax.lax.scan(look, (reference, none, none), times_ms)[0]
        return reference, jnp.stack([down, up])

    left_at = jax.vmap(lambda key: jax.random.uniform(key, (SIDE, SIDE)), out_axes=-1)(keys)
    reference = log_luminance(0.0) + off - left_at * (on + off)
    times_ms = (jnp.arange(n_steps * looks) + 1.0).reshape(n_steps, looks) * step_ms
    return jnp.transpose(jax.lax.scan(time_bin, reference, times_ms)[1], (4, 0, 2, 3, 1))


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How well simulated recordings agree with real ones of the same images."""

    events: tuple[float, float]  # a recording, real and simulated, mean
    on_share: tuple[float, float]  # of the events, real and simulated
    events_correlation: float  # between the numbers of events of real and simulated recordings
    map_correlation: tuple[float, ...]  # of ON - OFF over pixels, for each saccade; the mean over recordings
    profile_correlation: float  # of the mean number of events over time bins
    spikes: tuple[float, float]  # a recording in these bins, mean


def agreement(real: np.ndarray, simulated: np.ndarray, duration_ms: float = DURATION_MS) -> Agreement:
    """Compare event counts [n, n_steps, 34, 34, 2] of the same images (`events.count_events`, `counts`).

    `n_steps` bins of `duration_ms` together should not be wider than some 15 ms, so that saccades begin with a bin.
    """
    both = np.asarray(real, np.float32), np.asarray(simulated, np.float32)
    n_steps = both[0].shape[1]
    cuts = np.round(np.array(SACCADES_MS) * n_steps / duration_ms).astype(int)

    def correlation(one, other):
        return np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]

    def polarity_maps(x, first, last):
        within = x[:, first:last].sum(1)
        return within[..., 1] - within[..., 0]

    maps = [[polarity_maps(x, *cut) for x in both] for cut in zip(cuts[:-1], cuts[1:], strict=True)]
    return Agreement(
        events=_pair(x.sum() / len(x) for x in both),
        on_share=_pair(x[..., 1].sum() / x.sum() for x in both),
        events_correlation=float(correlation(*(x.sum((1, 2, 3, 4)) for x in both))),
        map_correlation=tuple(float(np.mean([correlation(*p) for p in zip(*m, strict=True)])) for m in maps),
        profile_correlation=float(correlation(*(x.sum((0, 2, 3, 4)) for x in both))),
        spikes=_pair((x > 0).sum() / len(x) for x in both),
    )


def _pair(values) -> tuple[float, float]:
    real, simulated = (float(value) for value in values)
    return real, simulated
