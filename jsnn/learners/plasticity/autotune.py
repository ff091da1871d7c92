"""Which way to train a cell is the fastest here: measured once for each structure and device, and kept.

The measurement trains the cell on the first few presentations with every way there is and forgets what it learned. The
programs are those that the training uses, so what they take to compile is lost for the slower ways only.
"""

import contextlib
import hashlib
import json
import time
from pathlib import Path

import jax
import numpy as np

import jsnn
from jsnn.core import files
from jsnn.data import Dataset
from jsnn.engines import stimulus
from jsnn.grid.groups import Cell, Lane, LaneState, Schedule, Way
from jsnn.learners.plasticity import plans

PRESENTATIONS = 32  # of each trial, in a measurement
WORTH_IT = 5000  # presentations of a lane's trial that are to come: for less, the usual way is taken unmeasured
MARGIN = 1.2  # the usual way stays unless another one is faster by this factor


def rates(lane: Lane, data: Dataset, state: LaneState, c: int, ways: list[Way]) -> dict[Way, float]:
    """Presentations a second of cell `c` of a lane, by each way, from `state`."""
    inputs, cell = lane.inputs, lane.cells[c]
    n_trials, batch = len(cell.index), inputs.batch_size
    where = plans.where_of(lane)
    by = plans.encoder_of(where)
    images = data.train_images[: max(batch, PRESENTATIONS)]
    index = np.full((n_trials, plans.batches_of(lane), batch), -1, np.int32)
    n_batches = min(index.shape[1], -(-len(images) // batch))
    index[:, :n_batches] = np.arange(n_batches * batch).reshape(n_batches, batch) % len(images)
    n_active = stimulus.most_active(data.train_images)
    rasters = plans.encoded(by, where, inputs, stimulus.TRAIN, by.put(images), index, 0, n_active)[where[c]]
    found = {}
    for way in ways:
        for _ in range(2):  # the first time it may compile
            began = time.perf_counter()
            out = plans.train_block(way, where[c], cell, state.learned[c], rasters, index, 0)
            jax.block_until_ready(out)
            seconds = time.perf_counter() - began
        found[way] = n_trials * n_batches * batch / seconds
    return found


def key(cell: Cell) -> str:
    """What a choice depends on: the structure of a cell, how many trials it has, the devices, the version of jsnn."""
    devices = [device.device_kind for device in jax.devices()]
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(cell.trials)]
    what = jsnn.__version__, str(jax.tree.structure(cell.trials)), shapes, devices, PRESENTATIONS
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def choose(
    lane: Lane, data: Dataset, schedule: Schedule, state: LaneState, c: int, ways: list[Way], kept: Path | None
) -> tuple[Way, str]:
    """The way to train cell `c`, and why, in a few words. `kept` is the file of earlier choices, if any.

    Nothing is measured where it is not worth it, and by several processes, which would have to agree.
    """
    if len(ways) == 1 or jax.process_count() > 1 or schedule.n_train * schedule.epochs < WORTH_IT:
        return ways[0], ""
    earlier = _earlier(kept)
    name = key(lane.cells[c])
    if earlier.get(name) not in [shown(way) for way in ways]:
        found = rates(lane, data, state, c, ways)
        best = max(ways, key=lambda way: found[way] * (MARGIN if way == ways[0] else 1.0))
        if kept is not None:
            with contextlib.suppress(OSError):  # it is measured again, then
                kept.parent.mkdir(parents=True, exist_ok=True)
                files.write(kept, json.dumps(earlier | {name: shown(best)}, indent=1).encode())
        return best, ", ".join(f"{shown(way)} {rate:,.0f}/s" for way, rate in found.items())
    return next(way for way in ways if shown(way) == earlier[name]), "measured before"


def _earlier(kept: Path | None) -> dict[str, str]:
    """The choices in a file that `choose` has written; none where it is damaged."""
    found = None
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(kept.read_bytes()) if kept is not None and kept.is_file() else None
    return {key: way for key, way in found.items() if isinstance(way, str)} if isinstance(found, dict) else {}


def shown(way: Way) -> str:
    """The name of a way."""
    return way.engine if way.at_once == 1 else f"{way.engine}, {way.at_once} at once"
