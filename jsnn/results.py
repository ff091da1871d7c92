"""results.jsonl: one JSON object a finished trial, the only file that tables, figures and statistics read."""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jsnn.errors import InputError

R = TypeVar("R", bound=Mapping[str, Any])
UNFINISHED = ".unfinished"  # ends the name of a file while it is written; the next write overwrites one left behind


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by new content, or leave it as it was: a reader never sees half of it.

    Raises InputError where that is not possible.
    """
    temporary = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another --out") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; it should be the results file of a run") from error


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a results file, none if there is no file. Raises InputError for a line that is no JSON object."""
    records = []
    for number, line in enumerate(_content(path).splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise damaged(f"{path}:{number}: not a JSON object", path)
        records.append(record)
    return records


def by_cell(records: Iterable[R]) -> dict[tuple[str, str, str], list[R]]:
    """The records of each cell (encoder, neuron, rule), in order."""
    cells: dict[tuple[str, str, str], list[R]] = {}
    for r in records:
        cells.setdefault((r["encoder"], r["neuron"], r["rule"]), []).append(r)
    return cells


def tuned(records: Iterable[R]) -> dict[tuple[str, str, str], tuple[R, R]]:
    """Of each cell in the last rung of a search (`jsnn.search`): the line of the config's own numbers, and the best."""
    records = list(records)
    last = max((r["rung"] for r in records), default=0)
    cells = by_cell(r for r in records if r["rung"] == last)
    return {
        cell: (next(r for r in lines if not r["overrides"]), max(lines, key=lambda r: r["accuracy"]))
        for cell, lines in cells.items()
    }


def damaged(what: str, path: Path) -> InputError:
    """The error for a results file that is not as it was written."""
    return InputError(f"{what}; move {path.name} away, and --resume writes it again from the checkpoints")


def append(path: Path, records: list[dict[str, Any]]) -> None:
    """Append records: all of them or, whatever happens meanwhile, none."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    write_whole(path, _content(path) + lines.encode())
