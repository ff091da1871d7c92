"""N-MNIST: MNIST as an event camera saw it, in the data set's own files.

`Train/<digit>/<number>.bin` and `Test/<digit>/<number>.bin`; recording k of a split is of image k - 1 of MNIST's
training or test images. An event takes five bytes: column x, row y, then 24 bits, big end first: the polarity (1: ON)
and the time in microseconds (23 bits). y = 240 is no event but says that the clock has run over: all later times are
2^13 us later than they say (no file has been seen to need it).
Source: G. Orchard, A. Jayawant, G. K. Cohen, N. Thakor, "Converting static image datasets to spiking neuromorphic
datasets using saccades", Front. Neurosci. 9:437 (2015), doi:10.3389/fnins.2015.00437; data under CC BY-SA 4.0.
"""

import re
from pathlib import Path

import numpy as np

from jsnn.core.errors import InputError
from jsnn.data import reading
from jsnn.data.events import DURATION_MS, SIDE, EventDataset, Events, bin_events, check_bins, pack

N_CLASSES = 10
MOST_EVENTS = 1_000_000  # of a recording: 100 times what N-MNIST's have
MOST_US = 2**31 - 1  # times are kept in 32 bits
SPLITS = ("Train", "Test")
WANTED = "Train/<digit>/<number>.bin and Test/<digit>/<number>.bin, digits 0 to 9, as N-MNIST's two archives unpack"

_EVENT_BYTES = 5
_OVERFLOW = 240  # the row that marks it
_OVERFLOW_US = 2**13
_LONGEST_STEP_BACK_US = 1000  # real times do not go back (none of 4.5 million); those of another format do, by seconds


def read_events(path: Path) -> Events:
    """The events of one recording. Raises InputError where the file is unreadable, cut short or no N-MNIST file."""
    content = np.frombuffer(reading.read(path, _EVENT_BYTES * MOST_EVENTS), np.uint8)
    if not len(content):
        raise InputError(f"{path} is empty: a recording of N-MNIST holds thousands of events; copy it again")
    if spare := len(content) % _EVENT_BYTES:
        raise InputError(
            f"{path} holds {len(content)} bytes, {spare} too many for whole events of {_EVENT_BYTES}: "
            "it has been cut short, or is no recording of N-MNIST; copy it again"
        )
    x, y, high, middle, low = content.reshape(-1, _EVENT_BYTES).T
    time_us = ((high & 0x7F).astype(np.int64) << 16) | (middle.astype(np.int64) << 8) | low
    overflow = y == _OVERFLOW
    if overflow.any():
        time_us += _OVERFLOW_US * np.cumsum(overflow)
        x, y, high, time_us = x[~overflow], y[~overflow], high[~overflow], time_us[~overflow]
    if not len(x):
        raise InputError(
            f"{path} holds no event, but that the clock has run over: a recording of N-MNIST has thousands"
        )
    outside = np.flatnonzero((x >= SIDE) | (y >= SIDE))
    if outside.size:
        first = outside[0]
        raise InputError(
            f"{path} holds an event at x = {x[first]}, y = {y[first]} (event {first}): N-MNIST's lie within "
            f"{SIDE} x {SIDE} pixels; is it a file of another kind?"
        )
    back = np.flatnonzero(time_us[1:] < time_us[:-1] - _LONGEST_STEP_BACK_US)
    if back.size:
        first = back[0]
        raise InputError(
            f"{path} goes back in time from {time_us[first]} to {time_us[first + 1]} us (event {first + 1}): "
            "the events of N-MNIST are in order; is it a file of another kind?"
        )
    if time_us.max() > MOST_US:
        raise InputError(
            f"{path} holds an event at {time_us.max()} us: N-MNIST's recordings end after 0.3 s; "
            "is it a file of another kind?"
        )
    return Events(x=x, y=y, polarity=high >= 0x80, time_us=time_us.astype(np.int32))


def write_events(path: Path, events: Events) -> None:
    """Store a recording as N-MNIST does, so that `read_events` gives it back.

    Raises OSError, and InputError where a time does not fit into 23 bits.
    """
    if len(events) and not 0 <= events.time_us.min() <= events.time_us.max() < 2**23:
        raise InputError(
            f"{path}: times from {events.time_us.min()} to {events.time_us.max()} us cannot be stored: "
            "N-MNIST's files hold 0 to 8388607"
        )
    content = np.empty((len(events), _EVENT_BYTES), np.uint8)
    content[:, 0], content[:, 1] = events.x, events.y
    content[:, 2] = events.polarity.astype(np.uint8) << 7 | (events.time_us >> 16).astype(np.uint8)
    content[:, 3], content[:, 4] = events.time_us >> 8 & 0xFF, events.time_us & 0xFF
    Path(path).write_bytes(content.tobytes())


def find(directory: Path, split: str) -> list[tuple[int, int, Path]]:
    """The recordings of "Train" or "Test" below `directory` in the order of their numbers: number, digit, path.

    Raises InputError where a directory is missing or without recordings, or where a file's name is no number or a
    number comes twice.
    """
    found: dict[int, tuple[int, int, Path]] = {}
    for digit in range(N_CLASSES):
        folder = Path(directory) / split / str(digit)
        try:
            paths = [path for path in folder.iterdir() if path.suffix == ".bin" and not path.name.startswith(".")]
        except OSError as error:
            raise InputError(f"cannot list {folder} ({error.strerror}): {directory} should hold {WANTED}") from None
        if not paths:
            raise InputError(f"no .bin file in {folder}: {directory} should hold {WANTED}")
        for path in paths:
            if not re.fullmatch("0*[1-9][0-9]{0,8}", path.stem):
                raise InputError(f"{path}: its name should be a number from 1 of at most 9 digits, as in 00001.bin")
            number = int(path.stem)
            if number in found:
                raise InputError(f"{found[number][2]} and {path} have the same number: there should be one of them")
            found[number] = number, digit, path
    return [found[number] for number in sorted(found)]


def load(
    directory: Path,
    n_steps: int,
    duration_ms: float = DURATION_MS,
    n_train: int | None = None,
    n_test: int | None = None,
) -> EventDataset:
    """N-MNIST below `directory` in `n_steps` time bins: the first recordings of each split by number (None: all).

    A pixel spikes in a bin where it has at least one event of the polarity (`events.bin_events`). Reads about 2500
    recordings a second from a warm disk, on one core. Raises InputError where the data are missing or wrong, or where a
    number is below 1 or larger than the data.
    """
    check_bins(n_steps, duration_ms)
    arrays = {}
    for split, name, n in zip(SPLITS, ("train", "test"), (n_train, n_test), strict=True):
        found = find(directory, split)
        if n is not None and not 1 <= n <= len(found):
            raise InputError(f"n_{name} = {n} for {Path(directory) / split}: it should be from 1 to {len(found)}")
        found = found[:n]
        check_bins(n_steps, duration_ms, len(found))
        frames = [pack(bin_events(read_events(path), n_steps, duration_ms)) for _, _, path in found]
        arrays[f"{name}_frames"] = np.stack(frames)
        arrays[f"{name}_labels"] = np.array([digit for _, digit, _ in found], np.int32)
        arrays[f"{name}_numbers"] = np.array([number for number, _, _ in found], np.int32)
    return EventDataset("nmnist", **arrays, duration_ms=duration_ms, n_classes=N_CLASSES)
