"""Recordings of event cameras: lists of events, and the frames of bits that a network is shown.

An event says that the log intensity at one pixel has risen (ON) or fallen (OFF) by about one threshold. A network that
steps through time sees frames: which pixels had an event of which polarity within each time bin.

Frames are kept as packed bits, one for each bin, pixel and polarity: a recording of 34 x 34 pixels in 15 bins takes
4.3 kB, 70,000 of them 0.3 GB. A jitted function makes the array that a network needs of them (`unpack`).
"""

import dataclasses
import functools
import math
import os
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn.core.errors import InputError
from jsnn.data.dataset import Dataset

SIDE = 34  # pixels, height and width of the sensor's window
POLARITIES = 2  # 0: OFF, 1: ON
DURATION_MS = 300.0  # of N-MNIST's three saccades; what comes later (0.4 % of the events, up to 315 ms) is left out
LONGEST_MS = 2e6  # times in microseconds fit into 32 bits


@dataclasses.dataclass(frozen=True, eq=False)
class Events:
    """One recording: its events, in the order of their times."""

    x: np.ndarray  # uint8 [n_events], column, from the left
    y: np.ndarray  # uint8 [n_events], row, from the top
    polarity: np.ndarray  # bool [n_events], True: ON
    time_us: np.ndarray  # int32 [n_events], microseconds from the start of the recording

    def __len__(self) -> int:
        return len(self.time_us)


@dataclasses.dataclass(frozen=True, eq=False)
class EventDataset:
    """Recordings in time bins, packed (`unpack`), and their labels, in the order of their numbers."""

    name: str
    train_frames: np.ndarray  # uint8 [n_train, n_steps, 289], packed bits of [34, 34, 2]: row, column, polarity
    train_labels: np.ndarray  # int32 [n_train], 0 to n_classes - 1
    train_numbers: np.ndarray  # int32 [n_train], from 1: recording k is of training image k - 1
    test_frames: np.ndarray  # uint8 [n_test, n_steps, 289]
    test_labels: np.ndarray  # int32 [n_test]
    test_numbers: np.ndarray  # int32 [n_test], from 1: recording k is of test image k - 1
    duration_ms: float  # of the n_steps bins together
    n_classes: int = 10

    def packed(self) -> Dataset:
        """The same as any data set: the packed bits of a recording are its image, uint8 [n, n_steps * 289]."""
        train, test = (x.reshape(len(x), -1) for x in (self.train_frames, self.test_frames))
        return Dataset(self.name, train, self.train_labels, test, self.test_labels, self.n_classes)


def count_events(events: Events, n_steps: int, duration_ms: float = DURATION_MS) -> np.ndarray:
    """How many events each time bin holds: int32 [n_steps, 34, 34, 2] (bin, row, column, polarity).

    Bin b takes the times from b to b + 1 times duration_ms / n_steps, its end excluded; events after `duration_ms`
    count nowhere. Raises InputError where `n_steps` or `duration_ms` is not positive.
    """
    where, shape = _places(events, n_steps, duration_ms)
    return np.bincount(where, minlength=np.prod(shape)).astype(np.int32).reshape(shape)


def bin_events(events: Events, n_steps: int, duration_ms: float = DURATION_MS) -> np.ndarray:
    """Where each time bin holds at least one event, a spike: bool [n_steps, 34, 34, 2]. Bins as in `count_events`."""
    where, shape = _places(events, n_steps, duration_ms)
    frames = np.zeros(shape, bool)
    frames.reshape(-1)[where] = True
    return frames


def _places(events: Events, n_steps: int, duration_ms: float) -> tuple[np.ndarray, tuple[int, ...]]:
    """The position of each event within `duration_ms` in the flat frames, and the shape of the frames."""
    check_bins(n_steps, duration_ms)
    step = np.searchsorted(edges_us(n_steps, duration_ms), events.time_us, side="right") - 1
    if len(step) and step.min() < 0:
        raise InputError(f"an event at {events.time_us.min()} us: times should be from 0")
    where = ((step * SIDE + events.y) * SIDE + events.x) * POLARITIES + events.polarity
    return where[step < n_steps], (n_steps, SIDE, SIDE, POLARITIES)


@functools.lru_cache(maxsize=16)
def edges_us(n_steps: int, duration_ms: float) -> np.ndarray:
    """Where the time bins begin, and the last one ends: int64 [n_steps + 1], the first whole microseconds in them.

    Exact: `duration_ms` is the decimal number that it is written as, and an event on a border is of the later bin.
    """
    width = Fraction(str(duration_ms)) * 1000 / n_steps
    return np.array([math.ceil(b * width) for b in range(n_steps + 1)], np.int64)


def check_bins(n_steps: int, duration_ms: float, n_recordings: int = 1) -> None:
    """Raise InputError unless there are bins, they last, and the frames of so many recordings fit into memory."""
    if n_steps < 1:
        raise InputError(f"n_steps = {n_steps}: a recording should be cut into at least 1 time bin")
    if not 0 < duration_ms <= LONGEST_MS:
        raise InputError(f"duration_ms = {duration_ms}: it should be a positive time in milliseconds, 300 for N-MNIST")
    pixels = SIDE * SIDE * POLARITIES
    needed = n_steps * pixels * (n_recordings / 8 + 4 * min(n_recordings, 64))  # packed, and some as they are made
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise InputError(
            f"n_steps = {n_steps}: the frames of {n_recordings} recordings take {needed / 1e9:.3g} GB and should fit "
            f"into the {memory / 1e9:.3g} GB there are"
        )


def pack(frames: np.ndarray) -> np.ndarray:
    """Frames bool[..., 34, 34, 2] as bits, uint8 [..., 289]."""
    return np.packbits(frames.reshape(*frames.shape[:-3], -1), axis=-1)


def unpack(packed: Array, dtype=jnp.float32) -> Array:
    """A batch of recordings, uint8[batch, n_steps, 289], as a network takes it: 0 or 1, [n_steps, batch, 34, 34, 2].

    Made to be called within a jitted function, where the bits become the array that is used and no other.
    """
    bits = jnp.unpackbits(jnp.swapaxes(packed, 0, 1), axis=-1)
    return bits.reshape(*bits.shape[:-1], SIDE, SIDE, POLARITIES).astype(dtype)
