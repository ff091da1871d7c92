"""The saccade simulator: what moves fires, what does not is silent, and real recordings agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_data import MNIST_DIR, needs_mnist
from test_nmnist import NMNIST_DIR, needs_nmnist

from jsnn import data
from jsnn.core.errors import InputError
from jsnn.data import idx, nmnist, saccades
from jsnn.data.events import bin_events, count_events, pack, unpack
from jsnn.data.saccades import PATH, PATH_STEP_MS, Sensor

QUIET = Sensor(leak=0.0, mismatch=0.0)
KEY = jax.random.key(3)
counts = jax.jit(saccades.counts, static_argnums=(2, 3))


def blobs(n=3, seed=0):
    """Images of soft blobs, background around them: uint8 [n, 28, 28]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:28, :28]
    images = np.zeros((n, 28, 28))
    for image in images:
        for row, column in rng.uniform(7, 21, (3, 2)):
            image[:] = np.maximum(image, np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 6))
    return (255 * images).astype(np.uint8)


def slow_counts(image, thresholds, left_at, contrast, path, n_steps, duration_ms):
    """The definition, a look every millisecond: loops over pixels, float64."""
    off, on = np.asarray(thresholds, float)[..., 0]
    found = np.zeros((n_steps, 34, 34, 2))

    def brightness(row, column):
        return image[row, column] / 255 if 0 <= row < 28 and 0 <= column < 28 else 0.0

    def luminance(y, x, time_ms):
        right, down = (np.interp(time_ms, np.arange(len(path)) * PATH_STEP_MS, path[:, axis]) for axis in (0, 1))
        row, column = int(np.floor(y - down)), int(np.floor(x - right))
        a, b = y - down - row, x - right - column
        upper = (1 - b) * brightness(row, column) + b * brightness(row, column + 1)
        lower = (1 - b) * brightness(row + 1, column) + b * brightness(row + 1, column + 1)
        return np.log(1 + contrast * ((1 - a) * upper + a * lower))

    for y in range(34):
        for x in range(34):
            reference = luminance(y, x, 0) + off[y, x] - left_at[y, x] * (on[y, x] + off[y, x])
            for t in range(1, int(duration_ms) + 1):
                change = luminance(y, x, t) - reference
                step = int((t - 1) * n_steps // duration_ms)
                while change >= on[y, x]:
                    found[step, y, x, 1] += 1
                    reference, change = reference + on[y, x], change - on[y, x]
                while change <= -off[y, x]:
                    found[step, y, x, 0] += 1
                    reference, change = reference - off[y, x], change + off[y, x]
    return found


def test_counts_are_those_of_slow_loops():
    image = blobs(1)
    sensor = Sensor(leak=0.0, mismatch=0.2)
    path = np.array([(2.0, 3.0), (4.4, 1.5), (8.6, -3.8), (1.0, 6.1)])  # partly off the sensor
    of_sensor, of_recordings = jax.random.split(KEY)
    (key,) = jax.random.split(of_recordings, 1)
    left_at = np.asarray(jax.random.uniform(key, (34, 34)), float)
    thresholds = saccades._thresholds(of_sensor, sensor)
    expected = slow_counts(image[0], thresholds, left_at, sensor.contrast, path, 4, 16.0)
    found = np.asarray(counts(KEY, image, 4, 16.0, sensor, jnp.asarray(path)))[0]
    assert expected.sum() > 1000
    assert np.abs(found - expected).sum() <= 0.005 * expected.sum()  # float32 meets a threshold a look later


def test_no_motion_no_events():
    still = np.full((5, 2), 3.0)
    assert not saccades.frames(KEY, blobs(), 5, 100.0, QUIET, still).any()
    assert not any(len(each) for each in saccades.recordings(KEY, blobs(), 100.0, QUIET, still))


def test_nothing_to_see_no_events():
    assert not saccades.frames(KEY, np.zeros((2, 28, 28), np.uint8), 5, sensor=QUIET).any()
    assert not saccades.frames(KEY, blobs(), 5, sensor=Sensor(contrast=0.0, leak=0.0)).any()


def test_leak_fires_on_at_its_rate():
    blank = np.zeros((4, 28, 28), np.uint8)
    first, second = np.asarray(counts(KEY, blank, 2, 2000.0, Sensor(leak=5.0), jnp.asarray(PATH))).swapaxes(0, 1)
    assert first[..., 0].sum() == second[..., 0].sum() == 0
    assert second[..., 1].mean() == pytest.approx(5.0, rel=0.01)  # in its second second
    assert first[..., 1].mean() == pytest.approx(4.5, rel=0.02)  # it had been left anywhere between two thresholds


def test_seeds():
    one, same, other = (saccades.frames(jax.random.key(seed), blobs(), 5) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_images_of_a_call_are_independent_of_each_other(monkeypatch):
    """Chunks are a matter of speed: none changes an event."""
    images = blobs(5)
    monkeypatch.setattr(saccades, "CHUNK", 2)
    chunked = saccades.frames(KEY, images, 4)
    whole = np.asarray(counts(KEY, images, 4, 300.0, Sensor(), jnp.asarray(PATH)))
    differ = np.unpackbits(chunked ^ pack(whole > 0)).sum()
    assert chunked.shape == (5, 4, 289) and differ <= 1e-3 * np.unpackbits(chunked).sum()
    np.testing.assert_array_equal(saccades.frames(KEY, images.reshape(5, 784), 4), chunked)


def test_contrast_of_the_other_sign_swaps_polarities():
    small = {"threshold": 0.002, "mismatch": 0.0, "leak": 0.0}  # log(1 + c) is odd for small c
    dark, bright = (
        np.asarray(counts(KEY, blobs(10), 10, 300.0, Sensor(contrast=c, **small), jnp.asarray(PATH)))
        for c in (-0.01, 0.01)
    )

    def correlation(a, b):
        return np.corrcoef(a.reshape(-1), b.reshape(-1))[0, 1]

    assert correlation(dark, bright[..., ::-1]) > 0.8
    assert correlation(dark, bright) < 0.4
    assert dark.sum() == pytest.approx(bright.sum(), rel=0.05)


def test_higher_threshold_fewer_events():
    few, many = (
        np.asarray(counts(KEY, blobs(), 2, 300.0, Sensor(threshold=t), jnp.asarray(PATH))).sum() for t in (0.6, 0.3)
    )
    assert 0 < few < 0.7 * many


def test_lists_and_frames_tell_the_same(tmp_path):
    images = blobs(4)
    recordings = saccades.recordings(KEY, images)
    for each in recordings:
        assert len(each) > 100 and (np.diff(each.time_us) >= 0).all() and each.time_us.max() < 300_000
    binned = np.stack([bin_events(each, 30) for each in recordings])
    differ = np.unpackbits(pack(binned) ^ saccades.frames(KEY, images, 30)).sum()
    assert differ <= 0.01 * binned.sum()  # both look every millisecond; rounding of the times
    nmnist.write_events(tmp_path / "1.bin", recordings[0])
    np.testing.assert_array_equal(bin_events(nmnist.read_events(tmp_path / "1.bin"), 30), binned[0])


def test_frames_are_ready_for_a_network():
    made = jax.jit(unpack)(saccades.frames(KEY, blobs(2), 6))
    assert made.shape == (6, 2, 34, 34, 2) and 0 < float(made.mean()) < 0.5


def test_a_whole_data_set_is_recorded_in_its_order():
    dataset = data.load("mnist_excerpt", n_train=5, n_test=3)
    made = saccades.convert(KEY, dataset, 4)
    assert made.train_frames.shape == (5, 4, 289) and made.test_frames.shape == (3, 4, 289)
    both = np.concatenate([dataset.train_images, dataset.test_images])
    np.testing.assert_array_equal(saccades.frames(KEY, both, 4)[5:], made.test_frames)
    np.testing.assert_array_equal(made.train_labels, dataset.train_labels)
    assert made.test_numbers.tolist() == [1, 2, 3] and made.name == "saccades_mnist_excerpt"


@pytest.mark.parametrize("images", [np.zeros((2, 700), np.uint8), np.zeros((2, 28, 28)), np.zeros((0, 784), np.uint8)])
def test_bad_images(images):
    with pytest.raises(InputError, match="they should be uint8"):
        saccades.frames(KEY, images, 5)


def test_bad_bins():
    with pytest.raises(InputError, match="n_steps = 0"):
        saccades.frames(KEY, blobs(), 0)
    with pytest.raises(InputError, match="duration_ms = -1"):
        saccades.recordings(KEY, blobs(), -1.0)


@needs_mnist
@needs_nmnist
@pytest.mark.parametrize(
    ("split", "first", "shift", "map_correlation"),
    [
        ("Train", 900, (0.0, 0.0), 0.89),  # nothing was fitted to these
        ("Test", 0, (0.0, 0.0), 0.75),  # recorded with the head elsewhere
        ("Test", 0, (-0.2, -0.7), 0.88),
    ],
)
def test_agreement_with_real_recordings(split, first, shift, map_correlation):
    found = nmnist.find(NMNIST_DIR, split)[first : first + 100]
    mnist = idx.read("mnist", idx.find(MNIST_DIR))
    images = (mnist.train_images if split == "Train" else mnist.test_images)[[number - 1 for number, _, _ in found]]
    real = np.stack([count_events(nmnist.read_events(path), 60) for _, _, path in found])
    path = jnp.asarray(PATH) + jnp.asarray(shift)
    simulated = counts(KEY, images.reshape(-1, 28, 28), 60, 300.0, Sensor(), path)
    measured = saccades.agreement(real, np.asarray(simulated))
    assert measured.events[1] / measured.events[0] == pytest.approx(1, abs=0.04)
    assert measured.on_share[1] == pytest.approx(measured.on_share[0], abs=0.01)
    assert measured.events_correlation > 0.92
    assert min(measured.map_correlation) > map_correlation
    assert measured.profile_correlation > (0.985 if split == "Train" else 0.94)
    assert measured.spikes[1] / measured.spikes[0] == pytest.approx(0.93, abs=0.04)
