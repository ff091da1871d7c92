"""Files that are either complete or unchanged, and directories that one process at a time writes to."""

import contextlib
import dataclasses
import errno
import fcntl
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from jsnn.core.errors import InputError

UNFINISHED = ".unfinished"  # ends the name of a file while it is written
LOCK = ".jsnn.lock"
NO_LOCK = "{} is a link, a directory or a device: it should be a plain file; remove it, or choose another --out"
UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)  # by some file systems of clusters


def expanded(path: str | Path) -> Path:
    """Replace a leading ~ of a path by the home directory.

    Raises:
        InputError: The user has no home directory.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: {str(error).rstrip('.').lower()}; write out the whole path") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write to that takes the place of `path` at the end, at once and only on success.

    Until then the file has a name that nobody can guess, and it is created, never found: no link is followed. After a
    crash of the machine, too, `path` is either unchanged or complete.

    Args:
        path: The file to replace or to create.

    Yields:
        The temporary file, opened for writing bytes.

    Raises:
        OSError: The file cannot be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        with contextlib.suppress(OSError):  # not every file system can
            _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _sync(directory: Path) -> None:
    """Have the names in a directory on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes) -> None:
    """Replace a file by new content, or leave it unchanged: a reader never sees half of it.

    Raises:
        OSError: The file cannot be written.
    """
    with replacing(path) as file:
        file.write(content)


def sweep(directory: Path, older: float = 0.0) -> None:
    """Remove the unfinished files of a directory, as far as that is possible.

    Args:
        directory: The directory.
        older: Least age of a file to be removed, s.
    """
    with contextlib.suppress(OSError):
        for path in directory.glob(f".*{UNFINISHED}"):
            if time.time() - path.lstat().st_mtime >= older:
                path.unlink()


def unwritable(directory: Path) -> str | None:
    """Find out why no file could be written to a directory.

    Args:
        directory: The directory; it need not exist yet.

    Returns:
        The reason; None if a file could be written.
    """
    place = directory
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place}: {os.strerror(errno.ENOTDIR)}; it should be a directory"
    if place != directory:
        return None if os.access(place, os.W_OK | os.X_OK) else f"{place}: {os.strerror(errno.EACCES)}"
    try:
        probe = place / f".{secrets.token_hex(8)}{UNFINISHED}"
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return None


def check_writable(directory: Path) -> None:
    """Check that a file could be written to a directory, which need not exist yet.

    Raises:
        InputError: No file could be written there.
    """
    if why := unwritable(directory):
        raise InputError(f"cannot write to {directory}: {why}; choose another --out")


@dataclasses.dataclass(frozen=True)
class Lock:
    """The exclusive right of this process to write to a directory."""

    path: Path
    descriptor: int

    def check(self) -> None:
        """Check that the directory is still the one that was locked.

        Raises:
            InputError: It was removed or replaced.
        """
        if not _is(self.path, self.descriptor):
            raise InputError(
                f"{self.path.parent} was removed or replaced while it was being written; start again with another --out"
            )


@contextlib.contextmanager
def locked(directory: Path, warn: Callable[[str], None]) -> Iterator[Lock]:
    """Lock a directory for this process while the context lasts; the directory is created if there is none.

    The lock is one of the operating system's on a file in the directory, so that a process that dies leaves none. The
    file's text, host and process, tells a second process who has the lock.

    Args:
        directory: The directory to lock.
        warn: Is called with a sentence if the file system has no locks.

    Yields:
        The lock.

    Raises:
        InputError: Another process has the directory, or it cannot be written.
    """
    path = directory / LOCK
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "not a directory" if isinstance(error, FileExistsError) else error.strerror
        raise InputError(f"cannot write to {directory}: {reason}; choose another --out") from None
    try:
        lock = Lock(path, _acquire(path, warn))
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise InputError(NO_LOCK.format(path)) from None
        raise InputError(f"cannot write {path}: {error.strerror}; choose another --out") from error
    try:
        yield lock
    finally:
        with contextlib.suppress(OSError):
            if _is(path, lock.descriptor):
                path.unlink()
        os.close(lock.descriptor)


def _acquire(path: Path, warn: Callable[[str], None]) -> int:
    """The descriptor of the lock's file, locked. Raises InputError or OSError."""
    while True:
        # Without waiting for a pipe's other end, and without following a link.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(NO_LOCK.format(path))
            if not _lock(descriptor, path):
                warn(f"{path.parent} is on a file system without locks: see that no other process writes there")
            if _is(path, descriptor):  # and not of a process that has just removed it
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
                os.fsync(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> bool:
    """Lock a file, where that is possible. Raises InputError where another process has it, or OSError."""
    for lock in (fcntl.flock, fcntl.lockf):
        try:
            lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                who = re.match(rb"process \d+ on [\w.-]+", os.pread(descriptor, 300, 0))
                name = who[0].decode() if who else "another process"
                raise InputError(
                    f"{path.parent} is being written by {name}: wait until that has ended, or choose another --out"
                ) from None
            if error.errno not in UNSUPPORTED:
                raise
    return False


def _is(path: Path, descriptor: int) -> bool:
    """Find out whether an open file is still the one at a path."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False
