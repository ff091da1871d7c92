"""The caches on disk of what is slow to make: data sets as plain arrays, compiled programs, the fastest engines.

The name of a data set's file holds the hash of the bytes that it was made from, so it can never be out of date.
"""

import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jsnn.core import files
from jsnn.core.errors import InputError
from jsnn.data import reading
from jsnn.data.dataset import Dataset

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
A_DAY = 86_400.0  # s


def root() -> Path | None:
    """Where jsnn keeps what it can make again: $JSNN_CACHE, else `jsnn` in $XDG_CACHE_HOME, else in ~/.cache; None
    where there is no home. As its specification asks, an $XDG_CACHE_HOME that is not absolute counts as not set.

    Raises InputError for a $JSNN_CACHE that is not absolute.
    """
    if own := os.environ.get("JSNN_CACHE"):
        path = files.expanded(own)
        if not path.is_absolute():
            raise InputError(f"JSNN_CACHE = {own}: it should be an absolute path, which is the same from everywhere")
        return path
    others = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        others = others if others.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # neither $HOME nor an entry in the list of users
        return None
    return others / "jsnn" if others.is_absolute() else None


def directory() -> Path:
    """Where data are kept: `data` in the cache's root. Raises InputError where there is none."""
    place = root()
    if place is None:
        raise InputError("there is no home directory to keep data in: set JSNN_CACHE to a directory, by its whole path")
    return place / "data"


def compiled() -> Path | None:
    """Where compiled programs are kept: `xla` in the cache's root."""
    place = root()
    return None if place is None else place / "xla"


def measured() -> Path | None:
    """The file that says which engine is the fastest (`jsnn.learners.plasticity.autotune`)."""
    place = root()
    return None if place is None else place / "data" / "ways.json"


def digest(paths: Iterable[Path]) -> str:
    """A hash of the contents of files, in the order given: 32 hexadecimal digits. Raises OSError."""
    total = hashlib.sha256()
    for path in paths:
        with reading.opened(path) as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]


def read(path: Path, name: str) -> Dataset | None:
    """The data set `name` that `write` has left at `path`, or None where there is none, or a damaged one."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with warnings.catch_warnings(), open(path, "rb") as file, np.load(file) as found:
            warnings.simplefilter("ignore")
            arrays = {part: found[part] for part in ARRAYS}
            if bytes(found["sha256"]) != _checksum(arrays):
                return None
        return Dataset(name, **arrays)
    except Exception:  # whatever a damaged file makes numpy and zipfile raise
        return None


def _checksum(arrays: Mapping[str, np.ndarray]) -> bytes:
    """SHA-256 of arrays: kinds, shapes and contents. Raises ValueError where they are not those of a data set."""
    total = hashlib.sha256()
    for part in ARRAYS:
        array, is_labels = arrays[part], part.endswith("labels")
        if array.dtype != (np.int32 if is_labels else np.uint8) or array.ndim != (1 if is_labels else 2):
            raise ValueError(f"{part} are {array.dtype} {array.shape}")
        total.update(f"{part} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.digest()


def write(path: Path, dataset: Dataset) -> None:
    """Store the arrays of a data set, with a checksum. No reader ever sees half a file. Raises OSError."""
    arrays: dict[str, Any] = {part: np.asarray(getattr(dataset, part)) for part in ARRAYS}
    arrays["sha256"] = np.frombuffer(_checksum(arrays), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.sweep(path.parent, A_DAY)
    with files.replacing(path) as file:
        np.savez(file, **arrays)
