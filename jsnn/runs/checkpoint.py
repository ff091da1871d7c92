"""Saved states, with orbax: written whole or not at all, checked when read, two kept.

    DIR/<number>/        a checkpoint: a tree of arrays and a JSON object, with the SHA-256 of both
    DIR/<number>.<...>   one that is being written or removed; what a killed process leaves, `sweep` removes

A checkpoint that cannot be read, or whose hash is not its own, is passed over for the one before. Where a job has
several processes, all of them call these functions, and the first one changes names.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jsnn.core.errors import InputError
from jsnn.grid.layout import fetch
from jsnn.grid.processes import in_step, is_first

logging.getLogger("absl").setLevel(logging.ERROR)
logging.getLogger("asyncio").addFilter(lambda record: not _is_late(record.getMessage()))
KEPT = 2
COMMIT_SUCCESS_FILE = "commit_success.txt"  # of orbax
LEFTOVER = re.compile(r"\d+\.(unfinished|old|orbax-checkpoint-tmp).*")


def _digest(arrays: Any, meta: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for leaf in jax.tree.leaves(arrays):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def _is_late(message: str) -> bool:
    """Whether asyncio reports, some time later, another of the errors of a damaged file that has been warned of."""
    return "exception was never retrieved" in message and "tensorstore" in message


def _x64() -> bool:
    return bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]


def steps(directory: Path) -> list[int]:
    """Numbers of the checkpoints in a directory, newest first."""
    try:
        return sorted((int(p.name) for p in directory.iterdir() if p.name.isdecimal()), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"cannot read the checkpoints in {directory}: {error.strerror}") from error


def save(directory: Path, step: int, arrays: Any, meta: dict[str, Any]) -> None:
    """Save a tree of arrays and a JSON object as checkpoint number `step`; keep it and the one before.

    Raises InputError where the directory cannot be written or the disk is full; the checkpoints that were there stay.
    """
    meta = json.loads(json.dumps(meta))
    arrays = jax.tree.map(fetch, arrays)
    items = ocp.args.Composite(
        arrays=ocp.args.StandardSave(arrays),
        meta=ocp.args.JsonSave({"sha256": _digest(arrays, meta), "meta": meta, "x64": _x64()}),
    )
    try:
        directory = directory.resolve()
        unfinished = directory / f"{step}.unfinished"
        directory.mkdir(parents=True, exist_ok=True)
        sweep(directory)
        in_step()
        with _quiet(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            checkpointer.save(unfinished, items)
        if is_first():
            _install(directory, step, unfinished)
        in_step()
    except Exception as error:  # a full disk is a ValueError of tensorstore, an OSError, or a group of both
        raise InputError(
            f"cannot write a checkpoint to {directory}: {_reason(error)}; make room there and go on with --resume, "
            "or choose another --out"
        ) from error
    finally:
        sweep(directory)


def _install(directory: Path, step: int, unfinished: Path) -> None:
    """Give a finished checkpoint its name, and take theirs from those that are not kept."""
    for notice in unfinished.rglob(COMMIT_SUCCESS_FILE):  # says where it was written, which is not where it will be
        notice.write_text("Checkpoint commit was successful")
    target = directory / str(step)
    if target.exists():
        target.rename(directory / f"{step}.old")
    unfinished.rename(target)
    present = steps(directory)
    later = [n for n in present if n > step]  # damaged: otherwise they would have been gone on from
    for number in later + [n for n in present if n < step][KEPT - 1 :]:
        (directory / str(number)).rename(directory / f"{number}.old")


def sweep(directory: Path) -> None:
    """Remove what is neither a checkpoint nor somebody else's, as far as that is possible."""
    if not is_first():
        return
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            if LEFTOVER.fullmatch(path.name) and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif LEFTOVER.fullmatch(path.name):
                path.unlink()


def _reason(error: Exception) -> str:
    """What went wrong, in a few words: tensorstore has the system's error at the end of a long message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    code = re.search(r"os_error_code='(\d+)'", text)
    return os.strerror(int(code[1])) if code else text[:160]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Have orbax only raise its exception: its threads also log it, and the writes that it gave up come back, some of
    them later, to a closed event loop."""
    logger, hook = logging.getLogger("absl"), sys.unraisablehook
    level = logger.level

    def late(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    logger.setLevel(logging.CRITICAL)
    sys.unraisablehook = late
    try:
        yield
        sys.unraisablehook = hook
    finally:
        logger.setLevel(level)


def restore(directory: Path, like: Any, warn: Callable[[str], None]) -> tuple[int, Any, dict[str, Any]] | None:
    """The newest checkpoint that is whole: its number, arrays (in the structure of `like`) and JSON object.

    `warn` hears of each one that is not. None if there is no checkpoint to go on from. Raises InputError for one of a
    process whose numbers had twice or half as many bits: it is whole, but not for this process.
    """
    like = jax.tree.map(fetch, like) if steps(directory) else like  # other processes may hold parts of it
    for step in steps(directory):
        path = directory.resolve() / str(step)
        try:
            with _quiet(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
                restored = checkpointer.restore(
                    path,
                    ocp.args.Composite(arrays=ocp.args.StandardRestore(like), meta=ocp.args.JsonRestore()),
                )
            meta = restored["meta"]
            if meta.get("x64", False) != _x64():  # arrays come as this process would have them
                raise InputError(f"{path} was saved with jax_enable_x64 = {not _x64()}: it should be read with that")
            if meta["sha256"] != _digest(restored["arrays"], meta["meta"]):
                raise ValueError("its contents do not match its checksum")
        except InputError:
            raise
        except Exception as error:  # whatever a damaged file makes orbax raise
            if step not in steps(directory):  # a run that goes on has taken it away meanwhile
                return restore(directory, like, warn)
            warn(f"checkpoint {path} is damaged ({_reason(error)}); going back to the one before")
            continue
        return step, restored["arrays"], meta["meta"]
    return None
