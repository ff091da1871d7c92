"""The cache on disk of what is slow to make: data sets as plain arrays.

A file's name holds the hash of the bytes that the data set was made from, so it can never be out of date.
"""

import contextlib
import hashlib
import os
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from jsnn.data.dataset import Dataset


def directory() -> Path:
    """Where jsnn keeps data: `data` in $JSNN_CACHE, else in $XDG_CACHE_HOME/jsnn, else in ~/.cache/jsnn."""
    if root := os.environ.get("JSNN_CACHE"):
        return Path(root).expanduser() / "data"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jsnn" / "data"


def digest(paths: Iterable[Path]) -> str:
    """A hash of the contents of files, in the order given: 32 hexadecimal digits. Raises OSError."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]


def read(path: Path, name: str) -> Dataset | None:
    """The data set `name` that `write` has left at `path`, or None where there is none (or a damaged one)."""
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        with open(path, "rb") as file, np.load(file) as arrays:
            return Dataset(name, **arrays)
    return None


def write(path: Path, dataset: Dataset) -> None:
    """Store the arrays of a data set. No reader ever sees half a file. Raises OSError."""
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(
            file,
            train_images=dataset.train_images,
            train_labels=dataset.train_labels,
            test_images=dataset.test_images,
            test_labels=dataset.test_labels,
        )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, whose file takes the place of `path` at the end, at once and only on success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
