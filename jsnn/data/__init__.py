"""Data sets by name; the only part of jsnn that reads data from disk.

`mnist_excerpt` is part of the package; `mnist`, `fashion_mnist` and `kmnist` are data sets of
tensorflow-datasets (TFDS).
"""

import difflib
from pathlib import Path

from jsnn.data.dataset import Dataset as Dataset
from jsnn.errors import InputError

DATASETS = ("mnist_excerpt", "mnist", "fashion_mnist", "kmnist")


def load(name: str, data_dir: Path | None = None, n_train: int | None = None, n_test: int | None = None) -> Dataset:
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

        dataset = full.load(name, None if data_dir is None else Path(data_dir).expanduser())
    return dataset.first(n_train, n_test)
