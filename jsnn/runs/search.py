"""Successive halving (Jamieson & Talwalkar 2016): each cell's numbers tuned for itself, on held-out training images.

    rung 0    many candidates a cell, drawn log-uniformly from ranges, and the config's own numbers    few images
    rung 1    the best of them, trained afresh, and again the config's own                              more images
    ...                                                                                                 ...

A rung is a study whose candidates are its [[cell]] tables: they are numbers, so all candidates of a cell share one
program. The test images are never shown.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jsnn import runs
from jsnn.core import files
from jsnn.core.errors import InputError
from jsnn.data import Dataset
from jsnn.grid.observer import Observer
from jsnn.runs import config, results
from jsnn.runs.config import AXES, Config, Entry, Search

Point = dict[str, Any]  # a [[cell]] table
Records = Sequence[dict[str, Any]]


def search_of(cfg: Config) -> Search:
    """The config's [search], checked against the rest of it. Raises InputError."""
    search = cfg.search
    if search is None or not search.ranges:
        raise InputError(
            f"{cfg.study}: there is nothing to tune; give [search.ranges], e.g. rule.eta_post = [1e-3, 0.1]"
        )
    if not cfg.data.n_validation:
        raise InputError(
            f"{cfg.study}: data.n_validation is not set; it should be training images to tune on, e.g. 5000"
        )
    if "sweep" in cfg.tables or "cell" in cfg.tables:
        raise InputError(f"{cfg.study}: [sweep] and [[cell]] are what tuning makes; leave them out")
    for path, (low, _) in search.ranges.items():
        if not any(has(entry, path, low) for entry in cfg.entries):
            raise InputError(f"search.ranges.{path}: no cell has this number")
    return search


def has(entry: Entry, path: str, value: float) -> bool:
    """Whether a cell has this number: a value that turns a component on, or chooses a size, is none of its numbers."""
    try:
        changed = config.swept(entry.trial, path, value)
    except InputError:
        return False
    return jax.tree.structure(changed) == jax.tree.structure(entry.trial)


def of_cell(cfg: Config, encoder: str, neuron: str, rule: str) -> Config:
    """The search of one cell of a study: of the ranges, those of numbers that it has. Raises InputError, also for what
    is wrong with the search of the whole study.
    """
    search, names = search_of(cfg), {"encoder": encoder, "neuron": neuron, "rule": rule}
    known = {f"{e.encoder} x {e.neuron} x {e.rule}": e for e in cfg.entries}
    name = f"{encoder} x {neuron} x {rule}"
    if name not in known:
        raise config.unknown("cell", name, known, cfg.study)
    ranges = {path: list(ends) for path, ends in search.ranges.items() if has(known[name], path, ends[0])}
    if not ranges:
        raise InputError(f"{cfg.study}: {name} has none of the numbers in search.ranges: {', '.join(search.ranges)}")
    tables = {key: value for key, value in cfg.tables.items() if key != "published"}
    parts = {axis: {k: v for k, v in tables.get(axis, {}).items() if k == names[axis]} for axis in AXES}
    matrix = {"matrix": {axis: [names[axis]] for axis in AXES}}
    return config.parse(tables | parts | matrix | {"search": tables["search"] | {"ranges": ranges}}, cfg.base)


def point_of(entry: Entry, numbers: dict[str, Any]) -> Point:
    """The [[cell]] table that gives a cell these numbers."""
    return {axis: getattr(entry, axis) for axis in AXES} | numbers


def candidates(entry: Entry, number: int, search: Search) -> list[Point]:
    """Of the cell that is the `number`-th of its study: the config's own numbers, and random ones."""
    rng = np.random.default_rng([search.seed, number])
    points = [point_of(entry, {})]
    own = [path for path, (low, _) in search.ranges.items() if has(entry, path, low)]
    for _ in range(search.candidates - 1):
        drawn = {path: np.exp(rng.uniform(*np.log(ends))) for path, ends in search.ranges.items()}
        points.append(point_of(entry, {path: float(f"{drawn[path]:.3g}") for path in own}))
    return points


def rung_of(cfg: Config, study: str, n_train: int, points: Iterable[Point]) -> Config:
    """The study that a rung is."""
    data = cfg.tables.get("data", {})
    data = data | {"n_train": n_train, "n_assign": min(n_train, data.get("n_assign", n_train))}
    tables = {key: value for key, value in cfg.tables.items() if key not in ("search", "ann", "published")}
    return config.parse(tables | {"study": study, "data": data, "cell": list(points)}, cfg.base)


def best(records: Records) -> list[dict[str, Any]]:
    """The line of the best candidate of each cell."""
    return [max(lines, key=lambda r: r["accuracy"]) for lines in results.by_cell(records).values()]


def survivors(records: Records, n: int) -> list[dict[str, Any]]:
    """The lines of the candidates of each cell that go on: its own numbers, which the winner is compared with in the
    end, and the best of the others, `n` in all."""
    cells = results.by_cell(records).values()
    return [r for lines in cells for r in sorted(lines, key=lambda r: (bool(r["overrides"]), -r["accuracy"]))[:n]]


def sizes(search: Search) -> list[int]:
    """How many candidates of a cell each rung has."""
    left = [search.candidates]
    for _ in search.rungs[1:]:
        left.append(max(min(2, left[-1]), round(search.keep * left[-1])))
    return left


def presentations(cfg: Config, n_validation: int) -> tuple[int, int]:
    """What the whole search costs: all candidates of all rungs, in training, and for their labels and answers."""
    search, training, answers = search_of(cfg), 0, 0
    for n_train, n_candidates in zip(search.rungs, sizes(search), strict=True):
        n_assign = min(n_train, cfg.data.n_assign or n_train)
        training += len(cfg.entries) * n_candidates * n_train * cfg.run.epochs
        answers += len(cfg.entries) * n_candidates * (n_assign + n_validation * cfg.run.test_passes)
    return training, answers


def toml(records: Records) -> str:
    """The [[cell]] tables of these lines, to be put into a config."""
    parts = []
    for record in records:
        lines = [f"# {100 * record['accuracy']:.1f} % of {record['n_evaluated']} held-out images", "[[cell]]"]
        lines += [f'{axis} = "{record[axis]}"' for axis in AXES]
        parts.append("\n".join(lines + [f'"{path}" = {value!r}' for path, value in record["overrides"].items()]))
    return "\n\n".join(parts) + "\n"


def run(cfg: Config, data: Dataset, out: Path, observer: Observer, resume: bool = False, clock: bool = True) -> Path:
    """Tune all cells of a study; `data` has the held-out images in the place of the test images.

    Writes OUT/rung-<i>, a run each; OUT/results.jsonl, all their lines with the `rung` they are of; and OUT/best.toml,
    which it returns. Interrupted, it goes on with `resume`, and its random numbers depend on nothing but `search.seed`.
    """
    search = search_of(cfg)
    points = [p for number, entry in enumerate(cfg.entries) for p in candidates(entry, number, search)]
    with runs.only_writer(out, observer.warn) as check:
        files.sweep(out)
        history: list[dict[str, Any]] = []
        found: Records = []
        for number, (n_train, n) in enumerate(zip(search.rungs, sizes(search), strict=True)):
            if number:
                left = survivors(found, n)
                points = [{axis: line[axis] for axis in AXES} | line["overrides"] for line in left]
            where = out / f"rung-{number}"
            rung = rung_of(cfg, f"{cfg.study}-{number}", n_train, points)
            found = runs.run(rung, data, where, observer, resume and where.exists(), clock)
            history += [{"rung": number} | line for line in found]
        check()
        results.write(out / "results.jsonl", history)
        results.write_whole(out / "best.toml", toml(best(found)).encode())
    return out / "best.toml"
