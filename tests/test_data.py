"""The embedded excerpt, IDX files through TFDS and cache, downloads, and one clear line for a bad input."""

import contextlib
import dataclasses
import gzip
import http.server
import io
import json
import logging
import lzma
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jsnn import data, runs
from jsnn.core.errors import InputError
from jsnn.data import cache, download, excerpt, full, idx, prepared
from jsnn.runs import config

N_TRAIN, N_TEST = 30, 10
PARTS = tuple(idx.FILES)
MNIST_DIR = Path(os.environ.get("JSNN_MNIST_DIR") or Path(__file__).parents[2] / "shared" / "data" / "mnist")
needs_mnist = pytest.mark.skipif(
    not MNIST_DIR.is_dir(), reason="JSNN_MNIST_DIR should name a directory with MNIST's four IDX files"
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Cache and TFDS directory below tmp_path, and no way out to the network."""
    monkeypatch.setenv("JSNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds_home"))
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)


def synthetic(name="mnist", seed=0):
    """A tiny data set of noise: no two images alike, so that order and identity can be checked."""
    rng = np.random.default_rng(seed)
    return data.Dataset(
        name,
        train_images=rng.integers(0, 256, (N_TRAIN, 784), np.uint8),
        train_labels=rng.integers(0, 10, N_TRAIN, np.int32),
        test_images=rng.integers(0, 256, (N_TEST, 784), np.uint8),
        test_labels=rng.integers(0, 10, N_TEST, np.int32),
    )


def idx_bytes(array, kind=0x08):
    """An IDX file, written from its definition."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(directory, dataset, suffix=""):
    """The four IDX files of a data set, with standard names."""
    directory.mkdir(exist_ok=True)
    for part, name in idx.FILES.items():
        array = getattr(dataset, part)
        content = idx_bytes(array.reshape(-1, 28, 28) if array.ndim == 2 else array)
        (directory / (name + suffix)).write_bytes(gzip.compress(content) if suffix == ".gz" else content)
    return directory


def assert_same(one, other):
    for part in PARTS:
        a, b = getattr(one, part), getattr(other, part)
        assert a.dtype == b.dtype, part
        np.testing.assert_array_equal(a, b, err_msg=part)
    assert one.n_classes == other.n_classes == 10


def complaint(*args, **kwargs):
    """The text of the InputError that `load` raises: always one line."""
    with pytest.raises(InputError) as caught:
        data.load(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 700
    return text


# --- the excerpt ---------------------------------------------------------------------------------------


def test_excerpt_is_embedded_small_and_balanced():
    dataset = data.load("mnist_excerpt")
    assert dataset.name == "mnist_excerpt" and dataset.n_classes == 10
    for images, labels, n in (
        (dataset.train_images, dataset.train_labels, 10_000),
        (dataset.test_images, dataset.test_labels, 2_000),
    ):
        assert images.shape == (n, 784) and images.dtype == np.uint8
        assert labels.shape == (n,) and labels.dtype == np.int32
        shares = np.bincount(labels, minlength=10) / n
        assert shares.size == 10 and shares.min() > 0.07 and shares.max() < 0.13
        assert 30 < images.mean() < 37  # MNIST's mean is 33.3
    assert excerpt.FILE.stat().st_size < 2_000_000
    licence = excerpt.FILE.with_name("mnist_excerpt.LICENCE.txt").read_text()
    assert "LeCun" in licence and "Cortes" in licence and "Burges" in licence and "Share Alike" in licence


@needs_mnist
def test_excerpt_is_every_6th_and_5th_image_of_mnist():
    mnist = idx.read("mnist", idx.find(MNIST_DIR))
    assert mnist.train_images.shape == (60_000, 784) and mnist.test_images.shape == (10_000, 784)
    assert mnist.train_labels[:6].tolist() == [5, 0, 4, 1, 9, 2]  # as every picture of MNIST shows
    dataset = data.load("mnist_excerpt")
    for part in PARTS:
        stride = 6 if part.startswith("train") else 5
        np.testing.assert_array_equal(getattr(dataset, part), getattr(mnist, part)[::stride])


@needs_mnist
@pytest.mark.slow
def test_excerpt_can_be_made_again_byte_for_byte():
    made = excerpt.pack(idx.read("mnist", idx.find(MNIST_DIR)))
    assert lzma.decompress(made) == lzma.decompress(excerpt.FILE.read_bytes())


def test_pack_takes_every_6th_and_5th_image():
    with np.load(io.BytesIO(lzma.decompress(excerpt.pack(synthetic())))) as packed:
        for part in PARTS:
            stride = 6 if part.startswith("train") else 5
            np.testing.assert_array_equal(packed[part], getattr(synthetic(), part)[::stride])
            assert packed[part].dtype == np.uint8


def test_first_n_of_each():
    whole = data.load("mnist_excerpt")
    part = data.load("mnist_excerpt", n_train=7, n_test=1)
    assert part.train_images.shape == (7, 784) and part.test_labels.shape == (1,)
    np.testing.assert_array_equal(part.train_images, whole.train_images[:7])
    np.testing.assert_array_equal(part.train_labels, whole.train_labels[:7])
    np.testing.assert_array_equal(part.test_images, whole.test_images[:1])
    assert len(data.load("mnist_excerpt", n_train=10_000, n_test=2_000).test_labels) == 2_000


# --- arrays of one's own -------------------------------------------------------------------------------


def of_arrays(**changes):
    """A data set of two splits of four images of three pixels."""
    pixels = np.uint8([[0, 1, 2], [3, 127, 128], [254, 255, 0], [9, 9, 9]])
    labels = np.int32([0, 2, 1, 2])
    given = {"train_images": pixels, "train_labels": labels, "test_images": pixels, "test_labels": labels}
    return data.Dataset("own", **(given | changes))


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def mapped(array):
    with tempfile.NamedTemporaryFile() as file:
        stored = np.memmap(file.name, array.dtype, "w+", shape=array.shape)
        stored[:] = array
        return stored


SAME_IMAGES = {
    "float64": lambda x: x / 255,
    "float32": lambda x: np.float32(x) / np.float32(255),
    "float16": lambda x: np.float16(x / 255),
    "in Fortran order": np.asfortranarray,
    "every other of more": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards twice": lambda x: x[::-1].copy()[::-1],
    "read only": read_only,
    "memory mapped": mapped,
    "with axes of height and width": lambda x: x.reshape(4, 1, 3),
    "of JAX": jnp.asarray,
}


@pytest.mark.parametrize("name", SAME_IMAGES)
def test_images_of_ones_own_are_what_they_are(name):
    made = of_arrays(train_images=SAME_IMAGES[name](of_arrays().train_images))
    np.testing.assert_array_equal(made.train_images, of_arrays().train_images)
    assert made.train_images.dtype == np.uint8 and made.train_images.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64, ">i4"])
def test_labels_of_any_integers_are_the_same(dtype):
    made = of_arrays(train_labels=of_arrays().train_labels.astype(dtype)[::-1].copy()[::-1])
    np.testing.assert_array_equal(made.train_labels, of_arrays().train_labels)
    assert made.train_labels.dtype == np.int32


def test_classes_are_those_of_the_labels_unless_given():
    assert of_arrays().n_classes == 3
    assert of_arrays(n_classes=10).n_classes == 10 == of_arrays(n_classes=10).first(1, 1).n_classes
    assert of_arrays(test_labels=np.int32([0, 11, 0, 0])).n_classes == 12


class Sparse:
    """What NumPy takes a sparse matrix of SciPy for: an object with no axes."""

    shape = (4, 3)
    toarray = None


PIXELS = np.full((4, 3), 0.5)
WRONG_ARRAYS = {
    "floats to 255": ({"train_images": 255 * PIXELS}, "train_images is float64 from 127.5 to 127.5", "from 0 to 1"),
    "standardised": ({"test_images": PIXELS - 0.6}, "test_images is float64 from -0.1", "from 0 to 1"),
    "NaN": ({"train_images": PIXELS * np.nan}, "train_images is float64 from nan", "from 0 to 1"),
    "infinite": ({"train_images": PIXELS * np.inf}, "from inf", "from 0 to 1"),
    "wide integers": ({"train_images": PIXELS.astype(int)}, "train_images is int64", "uint8"),
    "truth values": ({"train_images": PIXELS > 0}, "train_images is bool", "uint8"),
    "objects": ({"train_images": PIXELS.astype(object)}, "train_images is object", "uint8"),
    "words": ({"train_images": PIXELS.astype(str)}, "train_images is <U", "uint8"),
    "complex": ({"train_images": PIXELS + 1j}, "train_images is complex128", "uint8"),
    "ragged": ({"train_images": [[1], [2, 3]]}, "train_images is no array", "inhomogeneous"),
    "masked": ({"train_images": np.ma.masked_array(PIXELS)}, "train_images is a masked array", "plain"),
    "one image": ({"train_images": np.zeros(3, np.uint8)}, r"train_images is uint8\[3\]", "n, ..."),
    "none": ({"train_images": np.zeros((0, 3), np.uint8)}, r"train_images is uint8\[0, 3\]", "at least one"),
    "no pixels": ({"train_images": np.zeros((4, 0), np.uint8)}, r"uint8\[4, 0\]", "at least one"),
    "other pixels": ({"test_images": np.zeros((4, 2), np.uint8)}, "3 and test_images of 2 pixels", "as many"),
    "fewer labels": ({"train_labels": [0, 1, 2]}, "4 train_images but 3 train_labels", "one label for each"),
    "float labels": ({"train_labels": np.ones(4)}, "train_labels is float64", "integers from 0"),
    "words for labels": ({"test_labels": list("abca")}, "test_labels is <U1", "integers from 0"),
    "objects for labels": ({"train_labels": np.array([0, 1, 2, None])}, "train_labels is object", "integers from 0"),
    "one-hot labels": ({"train_labels": np.eye(4, dtype=int)}, r"train_labels is int64\[4, 4\]", "integers from 0"),
    "negative labels": ({"test_labels": [-1, 1, 0, 1]}, "test_labels is from -1 to 1", "integers from 0"),
    "labels of 64 bits": ({"test_labels": np.uint64([2**63, 1, 0, 1])}, "test_labels is from 0 to 92233", "integers"),
    "one class": ({"train_labels": [0] * 4, "test_labels": [0] * 4}, "all labels are 0", "2 classes"),
    "beyond n_classes": ({"n_classes": 2}, "the label 2", "0 to 1"),
    "other shapes": (
        {"train_images": np.zeros((4, 6, 2), np.uint8), "test_images": np.zeros((4, 3, 4), np.uint8)},
        r"train_images of \[6, 2\] and test_images of \[3, 4\]",
        "one shape",
    ),
    "half a class": ({"n_classes": 10.5}, "n_classes = 10.5", "whole number from 0"),
    "a float of classes": ({"n_classes": 10.0}, "n_classes = 10.0", "whole number from 0"),
    "less than no classes": ({"n_classes": -1}, "n_classes = -1", "whole number from 0"),
    "truth for classes": ({"n_classes": True}, "n_classes = True", "whole number from 0"),
    "a word for classes": ({"n_classes": "10"}, "n_classes = '10'", "whole number from 0"),
    "held out": ({"n_held_out": -1}, "n_held_out = -1", "whole number from 0"),
    "sparse": ({"train_images": Sparse()}, "train_images is a Sparse", r"toarray\(\)"),
    "sparse test images": ({"test_images": Sparse()}, "test_images is a Sparse", r"toarray\(\)"),
    "a generator": ({"train_images": (x for x in PIXELS)}, "train_images is a generator", "should be an array"),
    "nothing": ({"train_labels": None}, "train_labels is a NoneType", "should be an array"),
}


@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_arrays_that_are_no_data_set(name):
    changes, *parts = WRONG_ARRAYS[name]
    for part in parts:
        with pytest.raises(InputError, match=part) as raised:
            of_arrays(**changes)
        assert str(raised.value).startswith("own: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize("n", [1.5, 1.0, "1", True])
def test_numbers_of_images_are_whole(n):
    for use in (of_arrays().held_out, of_arrays().first, lambda n: of_arrays().first(None, n)):
        with pytest.raises(InputError, match="it should be a whole number"):
            use(n)


def test_axes_of_1_are_no_other_shape():
    images = np.zeros((4, 6, 2), np.uint8)
    assert of_arrays(train_images=images[:, None], test_images=images[..., None]).train_images.shape == (4, 12)


def test_a_study_has_the_classes_of_its_data():
    cfg = config.parse({"study": "x", "network": {"n_input": 3}, "data": {"n_assign": 1}})
    assert runs.schedule_of(cfg, of_arrays()).n_train == 4
    more = of_arrays(train_labels=np.arange(8, 12))
    assert more.n_classes == 12 and runs.schedule_of(cfg, more).n_train == 4


def test_arrays_become_a_data_set_with_two_splits():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (5, 8, 8), np.uint8), np.array([0, 1, 2, 1, 0])
    made = data.from_arrays(images, labels, images[:2] / 255.0, labels[:2], name="squares")
    assert (made.name, made.n_classes) == ("squares", 3)
    np.testing.assert_array_equal(made.train.images, images.reshape(5, 64))
    np.testing.assert_array_equal(made.train.labels, labels)
    np.testing.assert_array_equal(made.test.images, made.train.images[:2])
    assert len(made.train) == 5 and len(made.test) == 2
    assert data.from_arrays(images, labels, images, labels, n_classes=7).n_classes == 7
    with pytest.raises(InputError, match="arrays: 5 train_images but 4 train_labels"):
        data.from_arrays(images, labels[:4], images, labels)


def test_images_that_nobody_sees_are_said_so():
    cfg = config.parse({"study": "x", "network": {"n_input": 3}})
    bright, dark = of_arrays().train_images, of_arrays().train_images // 100
    for train, test, said in (
        (2 * PIXELS / 255, bright, "no pixel of the training images is brighter than 1 of 255"),
        (0 * PIXELS, bright, "than 0 of"),
        (bright, bright // 255, "no pixel of the test images is brighter than 1 of 255"),
        (bright, dark, "of the training images is 255 and that of the test images 2 of 255"),
        (dark, bright, "of the training images is 2 and that of the test images 255 of 255"),
        (PIXELS, PIXELS, None),
        (PIXELS, bright, None),
    ):
        made = of_arrays(train_images=train, test_images=test)
        text = runs.too_dark(made, runs.schedule_of(cfg, made))
        assert text is None if said is None else text is not None and said in text
    made = of_arrays(test_images=bright // 255).first(n_test=1)
    assert "than 0 of" in (runs.too_dark(made, runs.schedule_of(cfg, made)) or "")


# --- files that are no files, and those that have no end -----------------------------------------------


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def loop(path):
    path.symlink_to(path)


def directory(path):
    path.mkdir()


def sparse(path):
    with open(path, "wb") as file:
        file.truncate(40_000_000_000)


def bomb(n_images, height):
    """A gzip of a header and 2.7 GB of zeros, as it unpacks."""

    def write(path):
        block, blocks = bytes(2**20), 40  # the real one has 2600: what is read does not depend on it
        packer = zlib.compressobj(wbits=31)
        parts = [packer.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, n_images, height, 28))]
        parts += [packer.compress(block) for _ in range(blocks)]
        path.write_bytes(b"".join(parts) + packer.flush())

    return write


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (pipe, "a pipe, a device"),
        (device, "a pipe, a device"),
        (loop, "symbolic links"),
        (directory, "Is a directory"),
        (sparse, "has 40000000000 bytes: it should have at most"),
        (bomb(3_400_000, 28), "declares 3400000 images: there should be at most"),
        (bomb(60_000, 45_000), "images of 45000 x 28 pixels: they should be 28 x 28"),
        (bomb(10, 28), "holds 7841 bytes of images: its header declares 10 x 28 x 28 = 7840; there may be even more"),
    ],
    ids=["pipe", "device", "loop", "directory", "sparse", "bomb", "bomb of large images", "bomb behind few images"],
)
def test_files_without_end_are_refused_in_no_time(tmp_path, make, wrong):
    where = write_idx(tmp_path / "idx", synthetic())
    path = where / idx.FILES["train_images"]
    path.unlink()
    make(path)
    tracemalloc.start()
    with pytest.raises(InputError, match=wrong):
        idx.read("mnist", idx.find(where))
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


# --- IDX files through TFDS and the cache --------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_idx_files_come_back_unchanged_and_in_order(name, tmp_path):
    dataset = synthetic(name)
    directory = write_idx(tmp_path / "idx", dataset, ".gz")
    loaded = data.load(name, directory)
    assert loaded.name == name
    assert_same(loaded, dataset)
    assert_same(data.load(name, directory), dataset)


def test_prepared_data_set_is_the_one_of_tfds(tmp_path):
    """Plain TFDS opens what we have written, under its own name and version and in its own order."""
    import tensorflow_datasets as tfds

    dataset = synthetic()
    prepared.write(dataset, tmp_path / "tfds")
    info = json.loads((tmp_path / "tfds" / "mnist" / "3.0.1" / "dataset_info.json").read_text())
    assert info["name"] == "mnist" and info["fileFormat"] == "array_record"
    assert info["moduleName"] == "tensorflow_datasets.image_classification.mnist"
    assert [split["shardLengths"] for split in info["splits"]] == [[str(N_TRAIN)], [str(N_TEST)]]
    source: Any = tfds.data_source(
        "mnist",
        split="train",
        data_dir=tmp_path / "tfds",
        download=False,
        builder_kwargs={"file_format": "array_record"},
    )
    records = [(record["image"].tobytes(), record["label"]) for record in source]
    originals = [
        (image.tobytes(), label) for image, label in zip(dataset.train_images, dataset.train_labels, strict=True)
    ]
    assert records != originals and sorted(records) == sorted(originals)
    assert tfds.builder_cls("mnist").__name__ == "MNIST"  # the real builder is still the registered one


def test_two_processes_may_prepare_at_once(tmp_path):
    """While one writes, another finishes: the first must accept what it finds."""
    dataset = synthetic()

    class Overtaken(list):
        def __iter__(self):
            prepared.write(dataset, tmp_path / "tfds")
            return super().__iter__()

    slow = synthetic()
    object.__setattr__(slow, "train_images", Overtaken(dataset.train_images))  # a Dataset itself holds arrays alone
    prepared.write(slow, tmp_path / "tfds")
    assert_same(prepared.read("mnist", tmp_path / "tfds"), dataset)


def test_second_load_reads_the_cache_only(tmp_path, monkeypatch):
    directory = write_idx(tmp_path / "idx", synthetic())
    data.load("mnist", directory)
    for module, function in ((prepared, "write"), (prepared, "read"), (idx, "read")):
        monkeypatch.setattr(module, function, lambda *args: pytest.fail("the cache should have been used"))
    assert_same(data.load("mnist", directory), synthetic())


def test_changed_files_are_not_served_from_a_stale_cache(tmp_path):
    for seed in (0, 1):
        directory = write_idx(tmp_path / "idx", synthetic(seed=seed))
        assert_same(data.load("mnist", directory), synthetic(seed=seed))
    swapped = dataclasses.replace(synthetic(), train_labels=9 - synthetic().train_labels)
    assert_same(data.load("mnist", write_idx(tmp_path / "idx", swapped)), swapped)


def test_same_files_under_two_names_are_two_data_sets(tmp_path):
    directory = write_idx(tmp_path / "idx", synthetic())
    assert [data.load(name, directory).name for name in ("mnist", "kmnist")] == ["mnist", "kmnist"]


def test_damaged_cache_is_made_again(tmp_path):
    directory = write_idx(tmp_path / "idx", synthetic())
    data.load("mnist", directory)
    (stored,) = cache.directory().glob("*.npz")
    content = stored.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"x" * 100):
        stored.write_bytes(damaged)
        assert_same(data.load("mnist", directory), synthetic())
        assert stored.read_bytes() == content


@pytest.mark.parametrize("n", [40, pytest.param(2000, marks=pytest.mark.slow)])
def test_any_bit_of_the_cache(tmp_path, n):
    """A flipped bit is noticed, or was of no consequence (some in the headers of the archive)."""
    path, rng = tmp_path / "mnist.npz", np.random.default_rng(n)
    cache.write(path, synthetic())
    whole, noticed = path.read_bytes(), 0
    for where in rng.integers(0, 8 * len(whole), n):
        content = bytearray(whole)
        content[where // 8] ^= 1 << where % 8
        path.write_bytes(content)
        found = cache.read(path, "mnist")
        noticed += found is None
        if found is not None:
            assert_same(found, synthetic())
    assert noticed > 0.9 * n


def test_a_cache_that_is_no_data_set(tmp_path):
    whole, path = synthetic(), tmp_path / "mnist.npz"
    arrays = {part: getattr(whole, part) for part in cache.ARRAYS}
    for damage in (
        {},
        {"sha256": np.zeros(32, np.uint8)},
        {"sha256": np.array(3)},
        {"sha256": np.array(["x"])},
        {"train_labels": np.array(None)},
        {"train_images": whole.train_images.astype(float)},
        {"test_labels": whole.test_labels.reshape(1, -1)},
    ):
        np.savez(path, **(arrays | damage))
        assert cache.read(path, "mnist") is None
    for content in (b"", b"PK\x03\x04", np.lib.format.magic(1, 0) + b"\xff\xff{" + b"[" * 70000):
        path.write_bytes(content)
        assert cache.read(path, "mnist") is None
    path.unlink()
    for make in (path.mkdir, path.rmdir, lambda: os.mkfifo(path)):
        make()
        assert cache.read(path, "mnist") is None


def test_damaged_tfds_data_in_the_cache_are_made_again(tmp_path):
    directory = write_idx(tmp_path / "idx", synthetic())
    data.load("mnist", directory)
    (stored,) = cache.directory().glob("*.npz")
    for damage in (lambda path: path.write_bytes(b"x" * 100), Path.unlink):
        stored.unlink()
        for path in cache.directory().glob("tfds/*/mnist/*/*array_record*"):
            damage(path)
        assert_same(data.load("mnist", directory), synthetic())


def test_data_that_tfds_would_change_are_refused(tmp_path, monkeypatch):
    read = prepared.read
    monkeypatch.setattr(prepared, "read", lambda *args: read(*args).first(n_train=N_TRAIN - 1))
    with pytest.raises(RuntimeError, match="train_images of .* differ"):
        data.load("mnist", write_idx(tmp_path / "idx", synthetic()))
    assert not list(cache.directory().glob("*.npz"))


def test_cache_directory(monkeypatch):
    assert cache.directory() == Path(os.environ["JSNN_CACHE"]) / "data"
    monkeypatch.delenv("JSNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache.directory() == Path("/xdg/jsnn/data")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.directory() == Path("/home/someone/.cache/jsnn/data")
    assert cache.compiled() == Path("/home/someone/.cache/jsnn/xla")
    assert cache.measured() == Path("/home/someone/.cache/jsnn/data/ways.json")
    for ignored in ("", "jsnn", "~/cache"):  # not absolute: the specification of XDG has them ignored
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache.root() == Path("/home/someone/.cache/jsnn")
    monkeypatch.setenv("JSNN_CACHE", "/own")
    assert (cache.directory(), cache.compiled()) == (Path("/own/data"), Path("/own/xla"))
    monkeypatch.setenv("JSNN_CACHE", "~/own")
    assert cache.root() == Path("/home/someone/own")
    monkeypatch.setenv("JSNN_CACHE", "own")
    with pytest.raises(InputError, match="JSNN_CACHE = own: it should be an absolute path"):
        cache.root()


def test_without_a_home(monkeypatch):
    monkeypatch.delenv("JSNN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)

    def nobody(*arguments):
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("pwd.getpwnam", nobody)
    assert cache.root() is cache.compiled() is cache.measured() is None
    assert len(data.load("mnist_excerpt").test_labels) == 2000
    with pytest.raises(InputError, match="set JSNN_CACHE to a directory"):
        cache.directory()
    for where in (None, "~/mnist", "~nobody/mnist"):
        with pytest.raises(InputError, match="could not determine home directory; write out the whole path"):
            data.load("mnist", where)
    monkeypatch.setenv("HOME", "")
    monkeypatch.setenv("HOME", "somewhere")
    assert cache.root() is None


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dotted", [False, True])
def test_all_spellings_of_the_standard_names(tmp_path, suffix, dotted):
    directory = write_idx(tmp_path / "idx", synthetic(), suffix)
    for path in list(directory.iterdir()) if dotted else []:
        path.rename(directory / path.name.replace("-idx", ".idx"))
    assert_same(idx.read("mnist", idx.find(directory)), synthetic())


def test_compression_is_told_by_content_not_by_name(tmp_path):
    directory = write_idx(tmp_path / "idx", synthetic())
    for number, path in enumerate(sorted(directory.iterdir())):
        if number % 2:
            path.write_bytes(gzip.compress(path.read_bytes()))
        else:
            path.rename(f"{path}.gz")
    assert_same(idx.read("mnist", idx.find(directory)), synthetic())


# --- TFDS's default directory, and downloads -----------------------------------------------------------


def test_data_set_prepared_in_tfds_default_directory_is_used():
    prepared.write(synthetic("kmnist"), prepared.home())
    for _ in range(2):
        assert_same(data.load("kmnist"), synthetic("kmnist"))
    assert not (cache.directory() / "tfds").exists()  # it is not prepared again
    assert "ProxyError" in complaint("mnist")  # and only this one is there


def test_unreadable_data_set_in_tfds_default_directory():
    prepared.write(synthetic(), prepared.home())
    for path in prepared.files("mnist", prepared.home()):
        if "array_record" in path.name:
            path.write_bytes(b"nonsense")
    text = complaint("mnist")
    assert str(prepared.home() / "mnist") in text and "--data-dir" in text


@contextlib.contextmanager
def serving(directory, monkeypatch, name):
    """A web server on this machine, to which the TFDS builder of `name` is sent."""
    import tensorflow_datasets as tfds

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(directory))

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setattr(tfds.builder_cls(name), "URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_download_on_first_use_and_never_again(tmp_path, monkeypatch):
    dataset = synthetic("kmnist")
    # a tfrecord data set cannot be read without TensorFlow: it counts as absent
    tfrecord = prepared.home() / "kmnist" / "3.0.1"
    tfrecord.mkdir(parents=True)
    (tfrecord / "dataset_info.json").write_text("{}")
    (tfrecord / "kmnist-train.tfrecord-00000-of-00001").write_text("")
    with serving(write_idx(tmp_path / "web", dataset, ".gz"), monkeypatch, "kmnist"):
        assert_same(data.load("kmnist"), dataset)
    assert_same(data.load("kmnist"), dataset)  # the server is gone
    monkeypatch.setenv("JSNN_CACHE", str(tmp_path / "another_cache"))
    assert_same(data.load("kmnist"), dataset)  # from TFDS's own downloads


def test_download_with_a_missing_file(tmp_path, monkeypatch):
    directory = write_idx(tmp_path / "web", synthetic("kmnist"), ".gz")
    (directory / "t10k-labels-idx1-ubyte.gz").unlink()
    with serving(directory, monkeypatch, "kmnist"):
        assert "404" in complaint("kmnist")
        write_idx(tmp_path / "web", synthetic("kmnist"), ".gz")
        assert_same(data.load("kmnist"), synthetic("kmnist"))


def test_download_of_wrong_content(tmp_path, monkeypatch):
    """TFDS knows the checksum of what lies at an address."""
    import tensorflow_datasets as tfds

    directory = write_idx(tmp_path / "web", synthetic("kmnist"), ".gz")
    with serving(directory, monkeypatch, "kmnist") as server:
        builder: Any = tfds.builder_cls("kmnist")
        real = next(info for url, info in builder.url_infos.items() if "train-images" in url)
        address = f"http://127.0.0.1:{server.server_port}/train-images-idx3-ubyte.gz"
        monkeypatch.setitem(builder.url_infos, address, real)
        assert "NonMatchingChecksumError" in complaint("kmnist")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_no_network_is_told_within_seconds(name, caplog):
    start = time.monotonic()
    text = complaint(name)
    assert time.monotonic() - start < 5
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert logging.getLogger("urllib3").level == logging.NOTSET
    assert text.startswith(f"cannot download {name} from http") and "--data-dir" in text
    assert all(file in text for file in idx.FILES.values())


def test_network_that_never_answers(monkeypatch):
    from tensorflow_datasets.core.download import downloader

    before = downloader.MAX_RETRIES, downloader._open_url
    monkeypatch.setattr(download, "TIME_LIMITS", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for variable in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        assert "cannot download" in complaint("kmnist")
        assert time.monotonic() - start < 5
    assert (downloader.MAX_RETRIES, downloader._open_url) == before


# --- bad input -----------------------------------------------------------------------------------------

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
pixels = np.zeros((N_TRAIN, 28, 28), np.uint8)
digits = np.zeros(N_TRAIN, np.uint8)
BAD_FILES = {  # what -> (file, its content, what the complaint must say)
    "no IDX": (IMAGES, b"\x89PNG\r\n\x1a\n", "begins with 89 50 4e 47, images should begin with 00 00 08 03"),
    "text for labels": (LABELS, b"<html>", "begins with 3c 68 74 6d, labels should begin with 00 00 08 01"),
    "no bytes": (IMAGES, b"", "begins with nothing"),
    "no bytes, gzip": (LABELS, gzip.compress(b""), "begins with nothing"),
    "floats": (IMAGES, idx_bytes(pixels, kind=0x0D), "IDX type 0x0d: images should be unsigned bytes, 0x08"),
    "labels for images": (IMAGES, idx_bytes(digits), "holds labels where images are expected"),
    "images for labels": (LABELS, idx_bytes(pixels), "holds images where labels are expected"),
    "two dimensions": (LABELS, idx_bytes(digits[:, None]), "holds an array of 2 dimensions where labels"),
    "cut in header": (IMAGES, idx_bytes(pixels)[:13], "ends within its header"),
    "cut": (
        IMAGES,
        idx_bytes(pixels)[:-1],
        "holds 23519 bytes of images: its header declares 30 x 28 x 28 = 23520",
    ),
    "padded": (LABELS, idx_bytes(digits) + b"\0", "holds 31 bytes of labels: its header declares 30 = 30"),
    "cut gzip": (IMAGES, gzip.compress(idx_bytes(pixels))[:-9], "cannot read"),
    "wrong gzip": (IMAGES, gzip.compress(idx_bytes(pixels))[:-8] + b"\1" * 8, "cannot read"),
    "no gzip": (LABELS, b"\x1f\x8b\x08\x00" + b"\xff" * 40, "cannot read"),
    "empty": (IMAGES, idx_bytes(pixels[:0]), "is empty: it declares 0 images"),
    "empty labels": (LABELS, idx_bytes(digits[:0]), "is empty: it declares 0 labels"),
    "large images": (
        IMAGES,
        idx_bytes(np.zeros((N_TRAIN, 32, 28))),
        "of 32 x 28 pixels: they should be 28 x 28",
    ),
    "label 10": (
        LABELS,
        idx_bytes(np.arange(N_TRAIN) % 11),
        "label 10 at position 10: labels should be 0 to 9",
    ),
    "fewer labels": (LABELS, idx_bytes(digits[1:]), "30 images"),
    "fewer images": (IMAGES, idx_bytes(pixels[1:]), "29 images"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_bad_files(what, tmp_path):
    directory = write_idx(tmp_path / "idx", synthetic())
    file, content, expected = BAD_FILES[what]
    (directory / file).write_bytes(content)
    text = complaint("mnist", directory)
    assert expected in text and str(directory / file) in text
    assert not (cache.directory() / "tfds").exists()


@pytest.mark.parametrize("file", idx.FILES.values())
def test_missing_file(file, tmp_path):
    directory = write_idx(tmp_path / "idx", synthetic())
    (directory / file).unlink()
    assert complaint("mnist", directory).startswith(f"no {file} in {directory}: it should hold the four IDX files")


def test_bad_directories(tmp_path):
    assert f"cannot list {tmp_path / 'none'} (No such file or directory)" in complaint("mnist", tmp_path / "none")
    file = tmp_path / "file"
    file.write_text("")
    assert f"cannot list {file} (Not a directory)" in complaint("mnist", file)
    (tmp_path / "idx").mkdir()
    for name in idx.FILES.values():
        (tmp_path / "idx" / name).mkdir()
    assert f"cannot read {tmp_path / 'idx' / IMAGES} (Is a directory)" in complaint("mnist", tmp_path / "idx")


@pytest.mark.parametrize("load", [data.load, lambda _, path: data.load_recordings("nmnist", path, 15)])
def test_a_home_that_is_none(load):
    with pytest.raises(InputError, match="~nobody-of-this-name/mnist: .*; write out the whole path"):
        load("mnist", Path("~nobody-of-this-name/mnist"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden(tmp_path):
    directory = write_idx(tmp_path / "idx", synthetic())
    directory.chmod(0)
    assert "Permission denied" in complaint("mnist", directory)
    directory.chmod(0o700)
    (directory / IMAGES).chmod(0)
    assert str(directory / IMAGES) in complaint("mnist", directory)


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    directory = write_idx(tmp_path / "idx", synthetic())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JSNN_CACHE", str(tmp_path / "file" / "cache"))
    text = complaint("mnist", directory)
    assert str(tmp_path / "file") in text and "JSNN_CACHE" in text


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MNIST", "mnist"),
        ("fashon_mnist", "fashion_mnist"),
        ("kminst", "kmnist"),
        ("mnist_exerpt", "mnist_excerpt"),
    ],
)
def test_unknown_name(name, nearest):
    text = complaint(name)
    assert f"{name!r}: do you mean {nearest}?" in text and all(known in text for known in data.DATASETS)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"n_train": 10_001}, "n_train = 10001 for mnist_excerpt: it should be from 1 to 10000"),
        ({"n_test": 2_001}, "n_test = 2001 for mnist_excerpt: it should be from 1 to 2000"),
        ({"n_train": 0}, "n_train = 0 "),
        ({"n_test": -1}, "n_test = -1 "),
    ],
)
def test_bad_numbers(numbers, expected):
    assert complaint("mnist_excerpt", **numbers).startswith(expected)


def test_excerpt_takes_no_directory(tmp_path):
    assert str(tmp_path) in complaint("mnist_excerpt", tmp_path)


# --- manners -------------------------------------------------------------------------------------------


def python(*arguments):
    """A fresh interpreter in which every warning is an error: its standard output."""
    done = subprocess.run([sys.executable, "-W", "error", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def test_import_is_cheap():
    heavy = "tensorflow_datasets", "tensorflow", "array_record", "PIL", "requests", "jax", "lzma"
    code = f"import sys, jsnn.data; print([name for name in {heavy} if name in sys.modules])"
    assert python("-c", code) == "[]\n"


def test_loading_prints_and_warns_nothing(tmp_path):
    directory = write_idx(tmp_path / "idx", synthetic())
    code = "import sys; from jsnn import data; [data.load('mnist', sys.argv[1]) for _ in range(2)]"
    assert python("-c", code, str(directory)) == ""


# --- the whole -----------------------------------------------------------------------------------------


@needs_mnist
@pytest.mark.slow
def test_the_whole_of_mnist():
    mnist = idx.read("mnist", idx.find(MNIST_DIR))
    assert_same(data.load("mnist", MNIST_DIR), mnist)
    start = time.process_time()  # another test runs beside this one
    assert_same(data.load("mnist", MNIST_DIR), mnist)
    assert time.process_time() - start < 1
    assert full.load("mnist", MNIST_DIR).train_images.shape == (60_000, 784)
