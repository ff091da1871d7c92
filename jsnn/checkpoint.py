"""Saved states, with orbax: written whole or not at all, checked when read, two kept.

A checkpoint holds a tree of arrays and a JSON object, with the SHA-256 of both. One that cannot be read, or whose hash is not
its own, is passed over for the one before.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jsnn.errors import InputError

logging.getLogger("absl").setLevel(logging.ERROR)
KEPT = 2


def _digest(arrays: Any, meta: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for leaf in jax.tree.leaves(arrays):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def steps(directory: Path) -> list[int]:
    """Numbers of the checkpoints in a directory, newest first."""
    if not directory.is_dir():
        return []
    return sorted((int(p.name) for p in directory.iterdir() if p.name.isdigit()), reverse=True)


def save(directory: Path, step: int, arrays: Any, meta: dict[str, Any]) -> None:
    """Save a tree of arrays and a JSON object as checkpoint number `step`; keep the newest two.

    Raises InputError where the directory cannot be written or the disk is full; what was there stays.
    """
    meta = json.loads(json.dumps(meta))
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            checkpointer.save(
                directory.resolve() / str(step),
                ocp.args.Composite(
                    arrays=ocp.args.StandardSave(jax.tree.map(np.asarray, arrays)),
                    meta=ocp.args.JsonSave({"sha256": _digest(arrays, meta), "meta": meta}),
                ),
                force=True,
            )
    except (OSError, ValueError) as error:  # tensorstore reports a full disk as a ValueError
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"cannot write a checkpoint to {directory}: {reason}; choose --out on a disk with room") from error
    for old in steps(directory)[KEPT:]:
        shutil.rmtree(directory / str(old), ignore_errors=True)


def restore(
    directory: Path, like: Any, warn: Callable[[str], None]
) -> tuple[int, Any, dict[str, Any]] | None:
    """The newest checkpoint that is whole: its number, arrays (in the structure of `like`) and JSON object.

    `warn` hears of each one that is not. None if there is no checkpoint to go on from.
    """
    for step in steps(directory):
        path = directory.resolve() / str(step)
        try:
            with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
                restored = checkpointer.restore(
                    path,
                    ocp.args.Composite(
                        arrays=ocp.args.StandardRestore(jax.tree.map(np.asarray, like)), meta=ocp.args.JsonRestore()
                    ),
                )
            meta = restored["meta"]
            if meta["sha256"] != _digest(restored["arrays"], meta["meta"]):
                raise ValueError("its contents do not match its checksum")
        except Exception as error:  # whatever a damaged file makes orbax raise
            reason = " ".join(str(error).split())[:160]
            warn(f"checkpoint {path} is damaged ({reason}); going back to the one before")
            continue
        return step, restored["arrays"], meta["meta"]
    return None
