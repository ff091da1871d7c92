"""Data sets by name; the only part of jsnn that reads data from disk.

`mnist_excerpt` is part of the package; `mnist`, `fashion_mnist` and `kmnist` are data sets of
tensorflow-datasets (TFDS). `nmnist` are recordings of an event camera, `saccades_mnist` simulated ones of MNIST.
"""

import difflib
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from jsnn.core import files
from jsnn.core.errors import InputError
from jsnn.data.dataset import SPLITS as SPLITS
from jsnn.data.dataset import Dataset as Dataset

RECORDINGS = ("nmnist", "saccades_mnist")
DATASETS = ("mnist_excerpt", "mnist", "fashion_mnist", "kmnist")


def from_arrays(
    x_train: ArrayLike,
    y_train: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    name: str = "arrays",
    n_classes: int | None = None,
) -> Dataset:
    """A data set of your own.

    Args:
        x_train: Training images: uint8 from 0 to 255, or floats from 0 to 1, [n_train, ...]. An image may have any
            shape; a network sees it row by row. Any other vector of numbers from 0 to 1 will do, too.
        y_train: Their labels, integers from 0, [n_train].
        x_test: Test images, likewise.
        y_test: Their labels.
        name: What figures and records call it.
        n_classes: How many classes there are; by default one more than the largest label.

    Returns:
        The data set: `.train.images` uint8[n_train, n_pixels], `.train.labels`, `.test.images`, `.test.labels`.

    Raises:
        InputError: Arrays of another type, range or shape, or of different lengths.
    """
    return Dataset(name, *(cast(np.ndarray, x) for x in (x_train, y_train, x_test, y_test)), n_classes=n_classes or 0)


def load(
    name: str, data_dir: str | Path | None = None, n_train: int | None = None, n_test: int | None = None
) -> Dataset:
    """The first `n_train` training and `n_test` test images (None: all) of the data set `name` of `DATASETS`.

    `data_dir` holds the four IDX files of the data set; without it, the data set is taken from TFDS's default
    directory or downloaded on first use. The excerpt is embedded and takes no `data_dir`. Raises InputError
    where the name is unknown, the data are missing or wrong, or a number is below 1 or larger than the data.
    """
    if name not in DATASETS:
        nearest = difflib.get_close_matches(name.lower(), DATASETS, n=1, cutoff=0.0)[0]
        raise InputError(f"unknown data set {name!r}: do you mean {nearest}? Known are {', '.join(DATASETS)}")
    if name == "mnist_excerpt":
        if data_dir is not None:
            raise InputError(f"mnist_excerpt is embedded: leave out the directory {data_dir}, or ask for mnist")
        from jsnn.data import excerpt

        dataset = excerpt.read()
    else:
        from jsnn.data import full

        dataset = full.load(name, None if data_dir is None else files.expanded(data_dir))
    return dataset.first(n_train, n_test)


def load_recordings(
    name: str, data_dir: str | Path | None, n_steps: int, n_train: int | None = None, n_test: int | None = None
) -> Dataset:
    """The first recordings of the data set `name` of `RECORDINGS`, in `n_steps` time bins: each "image" is its packed
    bits, uint8 [n, n_steps * 289] (`jsnn.data.events`).

    `data_dir` holds Train/ and Test/ of N-MNIST, or for saccades_mnist the files of MNIST. Raises InputError where the
    data are missing or wrong.
    """
    if name == "nmnist":
        from jsnn.data import nmnist

        if data_dir is None:
            raise InputError("nmnist: no directory; --data-dir should name the one that holds its Train and Test")
        found = nmnist.load(files.expanded(data_dir), n_steps, n_train=n_train, n_test=n_test)
    else:
        from jsnn.core import numerics
        from jsnn.data import saccades

        images = load(name.removeprefix("saccades_"), data_dir, n_train, n_test)
        found = saccades.convert(numerics.key(0), images, n_steps)
    return found.packed()
