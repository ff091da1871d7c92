"""A whole data set: found or downloaded, checked, prepared and decoded once by TFDS, then cached."""

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from jsnn.core.errors import InputError
from jsnn.data import cache, download, idx, prepared
from jsnn.data.dataset import Dataset

_log = logging.getLogger(__name__)


def load(name: str, data_dir: Path | None) -> Dataset:
    """The data set `name` of TFDS (mnist, fashion_mnist, kmnist), in the order of its original files.

    It comes from the four IDX files in `data_dir`; without `data_dir` from TFDS's default directory, where it
    is prepared there as array_record, else from the published IDX files, downloaded on first use. Raises
    InputError where the data are missing, wrong or not downloadable, or where the cache cannot be written.
    """
    try:
        if data_dir is None:
            if files := prepared.files(name, prepared.home()):
                return _cached(name, files, lambda key: _from_prepared(name))
            data_dir = download.fetch(name)
        paths = idx.find(data_dir)
        return _cached(name, paths.values(), lambda key: _from_idx(idx.read(name, paths), key))
    except OSError as error:
        raise InputError(
            f"cannot read or write {error.filename or cache.directory()} ({error.strerror or error}): data "
            f"should be readable and the cache {cache.directory()} writable; $JSNN_CACHE puts it elsewhere"
        ) from error


def _cached(name: str, sources: Iterable[Path], make: Callable[[str], Dataset]) -> Dataset:
    """What `make` gives for the hash of the files `sources`, from the cache where it has been made before."""
    key = f"{name}-{cache.digest(sources)}"
    path = cache.directory() / f"{key}.npz"
    dataset = cache.read(path, name)
    if dataset is None:
        _log.info("preparing %s, once, in %s: about half a minute", name, cache.directory())
        dataset = make(key)
        cache.write(path, dataset)
    return dataset


def _from_idx(dataset: Dataset, key: str) -> Dataset:
    """The data set after its way through TFDS, which must have changed nothing."""
    directory = cache.directory() / "tfds" / key
    present = [path for path in (directory / dataset.name).glob("[0-9]*") if "incomplete" not in path.name]
    if present:
        with contextlib.suppress(Exception):  # whatever a damaged file makes TFDS raise
            decoded = prepared.read(dataset.name, directory)
            if not _differing(decoded, dataset):
                return decoded
        shutil.rmtree(directory)
    prepared.write(dataset, directory)
    decoded = prepared.read(dataset.name, directory)
    if parts := _differing(decoded, dataset):
        raise RuntimeError(f"{parts[0]} of {directory} differ from the IDX files they were made from")
    return decoded


def _differing(one: Dataset, other: Dataset) -> list[str]:
    return [part for part in idx.FILES if not np.array_equal(getattr(one, part), getattr(other, part))]


def _from_prepared(name: str) -> Dataset:
    """The data set in TFDS's default directory, prepared by others: whatever fails is in their data."""
    try:
        return prepared.read(name, prepared.home())
    except Exception as error:
        raise InputError(
            f"cannot read the TFDS data set {prepared.home() / name} ({type(error).__name__}): prepare it "
            f"again, or give --data-dir a directory with {idx.WANTED}"
        ) from error
