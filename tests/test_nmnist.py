"""N-MNIST's files: bytes to events to frames, what is said of files that are none, and the real recordings."""

import math
import os
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest

from jsnn.core.errors import InputError
from jsnn.data import nmnist
from jsnn.data.events import Events, bin_events, count_events, pack, unpack

NMNIST_DIR = Path(os.environ.get("JSNN_NMNIST_DIR") or Path(__file__).parents[2] / "shared" / "data" / "nmnist")
needs_nmnist = pytest.mark.skipif(
    not NMNIST_DIR.is_dir(), reason="JSNN_NMNIST_DIR should name a directory with N-MNIST's Train and Test"
)


def some_events(n=500, seed=0, last_us=310_000):
    rng = np.random.default_rng(seed)
    return Events(
        x=rng.integers(0, 34, n, np.uint8),
        y=rng.integers(0, 34, n, np.uint8),
        polarity=rng.random(n) < 0.5,
        time_us=np.sort(rng.integers(0, last_us, n)).astype(np.int32),
    )


def five_bytes(x, y, on, time_us):
    """One event, written from the format's definition."""
    return bytes([x, y]) + (on << 23 | time_us).to_bytes(3, "big")


def data_set(directory, n_train=12, n_test=10):
    """A tiny N-MNIST: recording k is of digit (7 k) mod 10."""
    for split, n in (("Train", n_train), ("Test", n_test)):
        for digit in range(10):
            (directory / split / str(digit)).mkdir(parents=True)
        for number in range(1, n + 1):
            path = directory / split / str(7 * number % 10) / f"{number:05}.bin"
            nmnist.write_events(path, some_events(seed=number + 1000 * (split == "Test")))
    return directory


def complaint(function, *args, **kwargs):
    """The text of the InputError that `function` raises: always one line."""
    with pytest.raises(InputError) as caught:
        function(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500
    return text


# --- one file --------------------------------------------------------------------------------------------


def test_bytes_become_events(tmp_path):
    path = tmp_path / "1.bin"
    path.write_bytes(five_bytes(3, 33, 1, 0) + five_bytes(0, 7, 0, 0x012345) + five_bytes(33, 0, 1, 2**23 - 1))
    events = nmnist.read_events(path)
    assert events.x.tolist() == [3, 0, 33] and events.y.tolist() == [33, 7, 0]
    assert events.polarity.tolist() == [True, False, True]
    assert events.time_us.tolist() == [0, 0x012345, 2**23 - 1]
    assert len(events) == 3 and events.time_us.dtype == np.int32 and events.polarity.dtype == bool


def test_events_come_back_as_written(tmp_path):
    events = some_events()
    nmnist.write_events(tmp_path / "1.bin", events)
    again = nmnist.read_events(tmp_path / "1.bin")
    for field in ("x", "y", "polarity", "time_us"):
        np.testing.assert_array_equal(getattr(again, field), getattr(events, field))
        assert getattr(again, field).dtype == getattr(events, field).dtype
    late = Events(events.x[:1], events.y[:1], events.polarity[:1], np.array([2**23], np.int32))
    assert "8388608" in complaint(nmnist.write_events, tmp_path / "2.bin", late)


def test_overflow_moves_all_that_comes_later(tmp_path):
    path = tmp_path / "1.bin"
    marker = five_bytes(0, 240, 0, 8191)
    path.write_bytes(
        five_bytes(1, 2, 1, 8190) + marker + five_bytes(3, 4, 0, 5) + marker + marker + five_bytes(5, 6, 1, 7)
    )
    events = nmnist.read_events(path)
    assert events.time_us.tolist() == [8190, 8192 + 5, 3 * 8192 + 7]
    assert events.x.tolist() == [1, 3, 5] and events.polarity.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (five_bytes(1, 1, 1, 1) * 3 + b"\1\1", "holds 17 bytes, 2 too many for whole events of 5"),
        (five_bytes(1, 1, 1, 1) + five_bytes(34, 2, 0, 5), "an event at x = 34, y = 2 (event 1)"),
        (five_bytes(1, 239, 1, 1), "an event at x = 1, y = 239 (event 0)"),
        (five_bytes(1, 1, 1, 5000) + five_bytes(1, 1, 1, 3), "goes back in time from 5000 to 3 us (event 1)"),
        (b"\x00\x00\x08\x03" + bytes(range(100)) + b"x", "is it a file of another kind?"),
        (five_bytes(0, 240, 0, 0) * 7, "holds no event"),
        (five_bytes(0, 240, 0, 0) * 262_143 + five_bytes(1, 1, 1, 8192), "an event at 2147483648 us"),
        (five_bytes(1, 1, 1, 1) * 1_000_001, "has 5000005 bytes: it should have at most 5000000"),
    ],
)
def test_bad_files(content, expected, tmp_path):
    path = tmp_path / "00001.bin"
    path.write_bytes(content)
    text = complaint(nmnist.read_events, path)
    assert text.startswith(str(path)) and expected in text


def test_the_latest_time_that_is_kept(tmp_path):
    path = tmp_path / "00001.bin"
    path.write_bytes(five_bytes(0, 240, 0, 0) * 262_143 + five_bytes(1, 1, 1, 8191))
    assert nmnist.read_events(path).time_us.tolist() == [2**31 - 1]


def test_files_without_end_are_refused(tmp_path):
    pipe, device, loop = (tmp_path / name for name in ("pipe", "device", "loop"))
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    loop.symlink_to(loop)
    assert "a pipe, a device" in complaint(nmnist.read_events, pipe)
    assert "a pipe, a device" in complaint(nmnist.read_events, device)
    assert "symbolic links" in complaint(nmnist.read_events, loop)
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(40_000_000_000)
    assert "has 40000000000 bytes" in complaint(nmnist.read_events, tmp_path / "sparse")


def test_files_that_cannot_be_read(tmp_path):
    assert f"cannot read {tmp_path / 'none.bin'} (No such file" in complaint(nmnist.read_events, tmp_path / "none.bin")
    assert f"cannot read {tmp_path} (Is a directory)" in complaint(nmnist.read_events, tmp_path)


# --- time bins -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_steps", "duration_ms"), [(1, 300.0), (15, 300.0), (30, 300.0), (7, 100.0), (400, 310.0)])
def test_bins_are_those_of_a_slow_loop(n_steps, duration_ms):
    events = some_events(5000)
    expected = np.zeros((n_steps, 34, 34, 2), int)
    for x, y, polarity, time_us in zip(events.x, events.y, events.polarity, events.time_us, strict=True):
        step = int(int(time_us) * n_steps / (1000 * duration_ms))
        if step < n_steps:
            expected[step, y, x, int(polarity)] += 1
    np.testing.assert_array_equal(count_events(events, n_steps, duration_ms), expected)
    frames = bin_events(events, n_steps, duration_ms)
    assert frames.dtype == bool
    np.testing.assert_array_equal(frames, expected > 0)


def test_a_bin_ends_before_the_next_begins():
    at = np.array([0, 9_999, 10_000, 299_999, 300_000], np.int32)
    zero = np.zeros(5, np.uint8)
    counts = count_events(Events(zero, zero, zero.astype(bool), at), 30)
    assert counts[[0, 1, 29], 0, 0, 0].tolist() == [2, 1, 1] and counts.sum() == 4


@pytest.mark.parametrize("duration_ms", [300.0, 300, 0.1, 33.333, np.float32(0.1), 1e-3])
def test_an_event_on_a_border_is_of_the_later_bin(duration_ms):
    """Whatever the number of bins: times in floating point put 25 of 399 numbers of bins wrong."""
    width = Fraction(str(duration_ms)) * 1000
    for n_steps in range(1, 400):
        first = [math.ceil(b * width / n_steps) for b in range(n_steps)]
        at = np.unique([t for t in first if t < width]).astype(np.int32)
        zero = np.zeros(len(at), np.uint8)
        frames = bin_events(Events(zero, zero, zero.astype(bool), at), n_steps, duration_ms)
        bins = np.flatnonzero(frames[:, 0, 0, 0]).tolist()
        assert bins == [int(t) * n_steps * width.denominator // width.numerator for t in at]


def test_times_are_from_zero():
    zero = np.zeros(1, np.uint8)
    assert "at -1 us" in complaint(bin_events, Events(zero, zero, zero.astype(bool), np.int32([-1])), 3)


def test_recording_without_events():
    none = some_events(0)
    assert count_events(none, 3).shape == (3, 34, 34, 2) and not bin_events(none, 3).any()


def test_bad_bins():
    assert "n_steps = 0" in complaint(bin_events, some_events(), 0)
    assert "duration_ms = 0.0" in complaint(count_events, some_events(), 5, 0.0)
    assert "duration_ms = inf" in complaint(count_events, some_events(), 5, float("inf"))
    assert "n_steps = 1000000000: the frames" in complaint(count_events, some_events(), 10**9)
    assert "duration_ms = nan" in complaint(count_events, some_events(), 5, float("nan"))


def test_packed_frames_come_back_within_a_jitted_function():
    frames = np.stack([bin_events(some_events(seed=seed), 5) for seed in range(3)])
    packed = pack(frames)
    assert packed.shape == (3, 5, 289) and packed.dtype == np.uint8
    again = jax.jit(unpack)(packed)
    assert again.shape == (5, 3, 34, 34, 2) and again.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(again).swapaxes(0, 1), frames)


# --- the data set ----------------------------------------------------------------------------------------


def test_recordings_in_the_order_of_their_numbers(tmp_path):
    loaded = nmnist.load(data_set(tmp_path), n_steps=6)
    assert loaded.train_numbers.tolist() == list(range(1, 13)) and loaded.test_numbers.tolist() == list(range(1, 11))
    assert loaded.train_labels.tolist() == [7 * k % 10 for k in range(1, 13)] and loaded.train_labels.dtype == np.int32
    assert loaded.train_frames.shape == (12, 6, 289) and loaded.test_frames.shape == (10, 6, 289)
    np.testing.assert_array_equal(loaded.train_frames[4], pack(bin_events(some_events(seed=5), 6)))
    np.testing.assert_array_equal(loaded.test_frames[9], pack(bin_events(some_events(seed=1010), 6)))
    assert (loaded.name, loaded.duration_ms, loaded.n_classes) == ("nmnist", 300.0, 10)
    part = nmnist.load(tmp_path, n_steps=6, n_train=5, n_test=1)
    np.testing.assert_array_equal(part.train_frames, loaded.train_frames[:5])
    assert part.test_labels.tolist() == [7]


def test_what_is_beside_the_recordings_is_left_alone(tmp_path):
    directory = data_set(tmp_path)
    for name in ("readme.txt", "._00001.bin", ".DS_Store"):
        (directory / "Train" / "0" / name).write_text("")
    assert len(nmnist.load(directory, n_steps=2).train_labels) == 12


def test_bad_directories(tmp_path):
    assert f"cannot list {tmp_path / 'none' / 'Train' / '0'}" in complaint(nmnist.load, tmp_path / "none", 5)
    directory = data_set(tmp_path / "nmnist")
    (directory / "Test" / "3").rename(tmp_path / "3")
    text = complaint(nmnist.load, directory, 5)
    assert f"cannot list {directory / 'Test' / '3'} (No such file or directory)" in text and "Test/<digit>/" in text
    (directory / "Test" / "3").mkdir()
    assert f"no .bin file in {directory / 'Test' / '3'}" in complaint(nmnist.load, directory, 5)
    stray = directory / "Train" / "0" / "first.bin"
    stray.write_bytes(b"")
    assert f"{stray}: its name should be a number from 1" in complaint(nmnist.load, directory, 5)
    for name in ("99999999999", "9" * 200, "0", "-1", "1.5", "1e3", "\u0661", "\u00b2", "1 "):
        stray = stray.rename(stray.with_name(f"{name}.bin"))
        assert f"{stray}: its name should be a number from 1" in complaint(nmnist.load, directory, 5)
    stray.rename(directory / "Train" / "0" / "1.bin")
    assert "have the same number" in complaint(nmnist.load, directory, 5)


def test_bad_recording_is_named(tmp_path):
    directory = data_set(tmp_path)
    path = directory / "Train" / "7" / "00001.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert complaint(nmnist.load, directory, 5).startswith(f"{path} holds 2499 bytes, 4 too many")


@pytest.mark.parametrize("numbers", [{"n_train": 0}, {"n_train": 13}, {"n_test": 11}, {"n_test": -1}])
def test_bad_numbers(numbers, tmp_path):
    ((argument, n),) = numbers.items()
    most = 12 if argument == "n_train" else 10
    text = complaint(nmnist.load, data_set(tmp_path), 5, **numbers)
    assert text.startswith(f"{argument} = {n} for ") and text.endswith(f"from 1 to {most}")
    assert "n_steps = 0" in complaint(nmnist.load, tmp_path, 0)


# --- the real recordings ---------------------------------------------------------------------------------


@needs_nmnist
def test_real_recordings():
    found = nmnist.find(NMNIST_DIR, "Train")[:100]
    assert [number for number, _, _ in found] == list(range(1, 101))
    assert [digit for _, digit, _ in found[:10]] == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # as MNIST begins
    recordings = [nmnist.read_events(path) for _, _, path in found]
    assert 3800 < np.mean([len(each) for each in recordings]) < 4400
    assert 0.48 < np.mean([each.polarity.mean() for each in recordings]) < 0.52
    last_ms = np.array([each.time_us.max() for each in recordings]) / 1000
    assert 295 < last_ms.min() and last_ms.max() < 316 and 306 < last_ms.mean() < 310
    assert all((np.diff(each.time_us) >= 0).all() for each in recordings)
    beyond = np.mean([(each.time_us >= 300_000).mean() for each in recordings])
    assert 0 < beyond < 0.01


@needs_nmnist
def test_real_data_set():
    loaded = nmnist.load(NMNIST_DIR, n_steps=15, n_train=20, n_test=10)
    assert loaded.test_labels.tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]  # as MNIST's test images begin
    spikes = np.unpackbits(loaded.train_frames).sum() / 20
    assert 1500 < spikes < 3000
    assert loaded.train_frames.nbytes == 20 * 15 * 289
