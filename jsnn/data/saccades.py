"""Events like those of N-MNIST, from any image: a sensor that moves before a display, simulated.

N-MNIST was recorded by an event camera (ATIS) on a pan-tilt head, which made three saccades of about 100 ms each before
a display that showed MNIST's images. Here the image moves instead:

    L(p, t) = log(1 + contrast * I(p - path(t)))          log luminance at pixel p; I in 0..1, bilinear
    ON  where L(p, t) - reference >= threshold_on,        then reference += threshold_on
    OFF where L(p, t) - reference <= -threshold_off,      then reference -= threshold_off
    and all the while                                     reference -= leak * threshold_on * dt

The thresholds of a pixel differ from the sensor's (mismatch) and are the same in all recordings of a call: one sensor.
Before a recording, a pixel has been left anywhere between its two thresholds. A pixel that sees nothing change fires ON
now and then, by its leak.

What was recorded: G. Orchard, A. Jayawant, G. K. Cohen, N. Thakor, Front. Neurosci. 9:437 (2015). The pixel is the
usual one, as in Y. Hu, S.-C. Liu, T. Delbruck, "v2e", arXiv:2006.07722, without its bandwidth and its shot noise.

Path and sensor are fitted to the first 200 training recordings: the path so that log luminance moves as the sum of ON -
OFF does, then timed so that events come when they do; mismatch from how that sum differs between pixels, alike in both
halves of the recordings; leak by the share of ON; contrast and threshold by numbers of events and maps. What the two
agree in then (`agreement`, bins of 5 ms): events are the mean of a recording, maps the correlation of ON - OFF over
pixels in each of the three saccades, time the correlation of the mean events over bins.

    recordings                 events: real, simulated   ON: real, simulated   maps              time
    training 201-300           4179, 4127                49.8 %, 49.6 %        0.91 0.91 0.91    0.996
    training 901-1000          4202, 4197                49.8 %, 49.6 %        0.91 0.91 0.91    0.993
    test 1-100                 3833, 3904                49.4 %, 49.6 %        0.80 0.81 0.78    0.976
    test, path (-0.2, -0.7)    3833, 3913                49.4 %, 49.8 %        0.90 0.91 0.91    0.955

Maps of two different images correlate by 0.12. What N-MNIST's test recordings saw lay 0.7 pixels off from what its
training recordings saw: a path moved as much (last line, fitted to them) brings the maps back. The numbers of events of
single recordings correlate by 0.94 to 0.95; those with few events have fewer still in reality. In reality the events of
a pixel come less in bursts: 6 to 9 % more spikes in bins of 5 ms, 4 % in bins of 20 ms.

A recording takes 1 ms of one CPU core as frames (70,000 in 15 bins: 65 s), 10 ms as a list of events.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Gt, Le
from jax import Array
from pydantic import AllowInfNan

from jsnn.core.errors import InputError
from jsnn.core.pytree import node
from jsnn.core.ranges import LARGEST, NonNegative, Positive
from jsnn.data.dataset import Dataset
from jsnn.data.events import DURATION_MS, POLARITIES, SIDE, EventDataset, Events, check_bins, edges_us, pack

Contrast = Annotated[float, AllowInfNan(False), Gt(-1), Le(LARGEST)]  # at -1 the logarithm ends

PATH_STEP_MS = 5.0  # between two knots of a path
# fmt: off
PATH = (  # of the upper left corner of N-MNIST's training images on the sensor: pixels to the right, down
    (0.51, 1.27), (0.50, 1.30), (0.48, 1.38), (0.46, 1.56), (0.43, 1.77), (0.41, 2.04), (0.39, 2.48),
    (0.37, 2.93), (0.38, 3.54), (0.42, 4.11), (0.53, 4.73), (0.72, 5.30), (0.98, 5.73), (1.25, 6.10),
    (1.56, 6.40), (1.76, 6.55), (1.86, 6.59), (1.93, 6.59), (1.96, 6.58), (2.00, 6.57), (2.10, 6.54),
    (2.19, 6.51), (2.29, 6.49), (2.40, 6.47), (2.54, 6.43), (2.71, 6.37), (2.94, 6.22), (3.29, 5.92),
    (3.65, 5.48), (3.90, 5.02), (4.18, 4.43), (4.38, 3.86), (4.53, 3.26), (4.71, 2.69), (4.89, 2.25),
    (5.01, 2.03), (5.14, 1.78), (5.22, 1.65), (5.28, 1.57), (5.33, 1.53), (5.44, 1.48), (5.59, 1.46),
    (5.72, 1.45), (5.78, 1.42), (5.49, 1.43), (5.45, 1.43), (5.37, 1.43), (5.16, 1.45), (4.72, 1.46),
    (4.28, 1.46), (3.84, 1.45), (3.34, 1.44), (2.86, 1.41), (2.33, 1.37), (1.93, 1.33), (1.52, 1.29),
    (1.26, 1.26), (1.06, 1.25), (0.82, 1.24), (0.68, 1.23), (0.61, 1.23), (0.58, 1.24), (0.57, 1.24),
)
# fmt: on
TIME_STEP_MS = 1.0  # at most, between two looks at the image
SACCADES_MS = (0.0, 105.0, 210.0, DURATION_MS)  # where the three saccades begin and end
CHUNK = 64  # recordings simulated at once: their pixels stay in a core's cache


@node
class Sensor:
    """What the sensor sees of an image, and when its pixels fire."""

    contrast: Contrast = -0.88  # luminance of what is 255, less the background's, as a ratio to it; < 0: darker
    threshold: Positive = 0.342  # log luminance, of ON and of OFF events
    mismatch: NonNegative = 0.1  # standard deviation of the log thresholds over pixels and polarities
    leak: NonNegative = 0.35  # Hz, in the long run: ON events of a pixel that sees nothing change


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


def convert(
    key: Array,
    dataset: Dataset,
    n_steps: int,
    duration_ms: float = DURATION_MS,
    sensor: Sensor | None = None,
    path: np.ndarray | None = None,
) -> EventDataset:
    """A data set of images as one sensor records it, in the order of the images. Arguments as of `frames`."""
    n_train, n_test = len(dataset.train_labels), len(dataset.test_labels)
    images = np.concatenate([dataset.train_images, dataset.test_images])
    made = frames(key, images, n_steps, duration_ms, sensor, path)
    return EventDataset(
        f"saccades_{dataset.name}",
        train_frames=made[:n_train],
        train_labels=dataset.train_labels,
        train_numbers=np.arange(1, n_train + 1, dtype=np.int32),
        test_frames=made[n_train:],
        test_labels=dataset.test_labels,
        test_numbers=np.arange(1, n_test + 1, dtype=np.int32),
        duration_ms=duration_ms,
        n_classes=dataset.n_classes,
    )


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
    check_bins(1, duration_ms)
    n_steps = int(np.ceil(duration_ms / TIME_STEP_MS))
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    found = []
    for each in _chunks(key, images, n_steps, duration_ms, sensor or Sensor(), path):
        found += [_events(rng, recording, duration_ms) for recording in each]
    return found


def _events(rng: np.random.Generator, counts: np.ndarray, duration_ms: float) -> Events:
    """The events of one recording of counts [n_steps, 34, 34, 2], at random times within their steps."""
    filled = np.flatnonzero(counts)
    where = np.repeat(filled, counts.reshape(-1)[filled])
    step, y, x, polarity = np.unravel_index(where, counts.shape)
    edges = edges_us(len(counts), duration_ms)
    time_us = edges[step] + np.floor(rng.random(len(step)) * np.diff(edges)[step]).astype(np.int64)
    order = np.argsort(time_us, kind="stable")
    return Events(
        x=x[order].astype(np.uint8),
        y=y[order].astype(np.uint8),
        polarity=polarity[order].astype(bool),
        time_us=time_us[order].astype(np.int32),
    )


def _chunks(
    key: Array, images: np.ndarray, n_steps: int, duration_ms: float, sensor: Sensor, path: np.ndarray | None
) -> Iterator[np.ndarray]:
    """What `counts` gives, uint8, some recordings at a time: all of them at once would not fit into memory."""
    images = _pictures(images)
    check_bins(n_steps, duration_ms, len(images))
    of_sensor, of_recordings = jax.random.split(key)
    keys = jax.random.split(of_recordings, len(images))
    thresholds = _thresholds(of_sensor, sensor)
    where = jnp.asarray(PATH if path is None else path, jnp.float32)
    run = jax.jit(_few_counts, static_argnums=(3, 4))
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


def _few_counts(*args) -> Array:
    """`_counts` as bytes: a pixel has no 255 events in a bin, unless its threshold is near zero."""
    return jnp.minimum(_counts(*args), 255).astype(jnp.uint8)


def _thresholds(key: Array, sensor: Sensor) -> Array:
    """Each pixel's, for OFF and ON: float32 [2, 34, 34, 1]."""
    return sensor.threshold * jnp.exp(sensor.mismatch * jax.random.normal(key, (POLARITIES, SIDE, SIDE, 1)))


def _counts(
    thresholds: Array, keys: Array, images: Array, n_steps: int, duration_ms: float, sensor: Sensor, path: Array
) -> Array:
    """`counts` for given thresholds and a key for each recording.

    Recordings are the last axis inside, the one that vector instructions run along.
    """
    off, on = thresholds
    looks = int(np.ceil(duration_ms / n_steps / TIME_STEP_MS))  # in each bin
    step_ms = duration_ms / n_steps / looks
    # so much background around it that an image has left the sensor before the edge comes in
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

    The `n_steps` bins of `duration_ms` together should be 15 ms wide, or narrower: a saccade begins with a bin.
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


def _pair(values: Iterable[float]) -> tuple[float, float]:
    real, simulated = (float(value) for value in values)
    return real, simulated
