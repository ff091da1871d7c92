"""Files that are read as a whole, from wherever the user has them: regular ones, of a size that data have.

A pipe would be waited for, a device has no end, and 40 GB of zeros may be a file of a few bytes: what is no regular
file, or is larger than the caller asks for, is refused before anything of it is read.
"""

import errno
import gzip
import os
import stat
import zlib
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

from jsnn.core.errors import InputError

GZIP = b"\x1f\x8b"  # what a gzip file begins with, whatever its name says


def opened(path: Path) -> BufferedReader:
    """A regular file, to be read. Raises OSError, one that says so for a pipe, a device or a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # or a pipe would wait for who writes
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            what = "it is a pipe, a device or a socket and should be a regular file"
            raise OSError(errno.EINVAL, what, str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check(path: Path, most: int) -> None:
    """Raises InputError unless `path` is a regular file of at most `most` bytes that can be read."""
    try:
        with opened(path) as file:
            _check_size(path, file, most)
    except OSError as error:
        raise unreadable(path, error) from None


def read(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes. Raises InputError."""
    try:
        with opened(path) as file:
            _check_size(path, file, most)
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from None


def read_declared(path: Path, n_header: int, n_content: Callable[[bytes], int], most: int) -> tuple[bytes, bytes]:
    """Header and content of a regular file, plain or gzip, of at most `most` bytes.

    `n_content` tells from the header (`n_header` bytes, or fewer where the file ends within it) how many bytes should
    follow, or raises InputError. No more is unpacked than one byte beyond that: the content comes back as long as it
    is, but for what is too much. Raises InputError.
    """
    try:
        with opened(path) as file:
            _check_size(path, file, most)
            packed = file.read(2) == GZIP
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else file as content:
                header = content.read(n_header)
                return header, content.read(n_content(header) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from None


def _check_size(path: Path, file: BufferedReader, most: int) -> None:
    size = os.fstat(file.fileno()).st_size
    if size > most:
        raise InputError(f"{path} has {size} bytes: it should have at most {most}; is it a file of another kind?")


def unreadable(path: Path, error: Exception) -> InputError:
    """The error for a file that cannot be read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return InputError(f"cannot read {path} ({reason}): it should be a complete file, plain or gzip; copy it again")
