"""The published files of a data set, fetched once by the downloader of tensorflow-datasets (TFDS)."""

import contextlib
import functools
import logging
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsnn.core import files
from jsnn.core.errors import InputError
from jsnn.data import cache, idx, prepared

TIME_LIMITS = (3.0, 10.0)  # s: to connect, and between two blocks of data
RETRIES = 1

_log = logging.getLogger(__name__)


def fetch(name: str) -> Path:
    """The directory with the four IDX files of `name`, downloaded on first use, checksums checked.

    Files that TFDS has downloaded before (for whatever format) are taken from its own download directory.
    Raises InputError where a file cannot be had, within seconds where there is no network, and OSError where
    it cannot be stored.
    """
    directory = cache.directory() / "idx" / name
    missing = [file + ".gz" for file in idx.FILES.values() if not (directory / (file + ".gz")).exists()]
    if not missing:
        return directory
    _log.info("downloading %s, once, to %s", name, directory)
    with prepared.quiet(), _impatient(), _silent("urllib3"):
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
        from tensorflow_datasets.core.download.util import DownloadError

        builder: Any = tfds.builder_cls(name)
        try:
            manager = tfds.download.DownloadManager(
                download_dir=prepared.home() / "downloads", dataset_name=name, url_infos=builder.url_infos
            )
            downloaded = {file: Path(manager.download(builder.URL + file)) for file in missing}
        except (OSError, DownloadError, NonMatchingChecksumError) as error:
            reason = textwrap.shorten(f"{type(error).__name__}: {error}", 160)
            raise InputError(
                f"cannot download {name} from {builder.URL} ({reason}): connect to the network, or give "
                f"--data-dir a directory with {idx.WANTED}"
            ) from None
    directory.mkdir(parents=True, exist_ok=True)
    files.sweep(directory, cache.A_DAY)
    for file, path in downloaded.items():
        with files.replacing(directory / file) as target, path.open("rb") as source:
            shutil.copyfileobj(source, target)
    return directory


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Keep off the screen what a library logs of each attempt; what comes of them is said in one line."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Time limits and few retries for TFDS's downloader, which waits without limit and retries for minutes.

    TFDS has no public setting for either, so its module is changed for as long as this lasts.
    """
    from tensorflow_datasets.core.download import downloader

    retries, open_url = downloader.MAX_RETRIES, downloader._open_url
    downloader.MAX_RETRIES = RETRIES
    downloader._open_url = functools.partial(open_url, timeout=TIME_LIMITS)
    try:
        yield
    finally:
        downloader.MAX_RETRIES, downloader._open_url = retries, open_url
