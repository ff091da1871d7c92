"""results.jsonl: one JSON object a finished trial, the only file that tables, figures and statistics read.

Each line has a checksum of its own (`jsnn.core.sealed`), which every reader compares.
"""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Len
from pydantic import ConfigDict, TypeAdapter, ValidationError

from jsnn.core import files, sealed, text
from jsnn.core.errors import InputError
from jsnn.core.ranges import Count, Finite, Probability, Steps

R = TypeVar("R", bound=Mapping[str, Any])


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by new content, or leave it as it was: a reader never sees half of it.

    Raises InputError where that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; it should be the results file of a run") from error


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file of lines, none if there is no file. Raises InputError for a line that is not as it was
    written.
    """
    records = []
    for number, line in enumerate(_content(path).splitlines(), 1):
        try:
            records.append(sealed.loads(line))
        except sealed.Damaged as error:
            raise damaged(f"{path}:{number}: {error}", path) from None
    return records


_PRICE = dict[Literal["macs", "accumulates", "updates"], Finite]
FIELDS: dict[str, Any] = {  # what readers ask of the line of a trial; there is more in it (`jsnn.runs.records`)
    **dict.fromkeys(("study", "dataset", "encoder", "neuron", "rule", "readout"), str),
    **dict.fromkeys(("n_neurons", "batch_size", "n_steps", "n_train", "n_presentations", "n_evaluated"), Count),
    "split": Literal["test", "validation"],
    "seed": int,
    "overrides": dict[str, bool | int | float | str | None],
    "n_assign": Steps,
    "accuracy": Probability,
    "readouts": dict[str, Probability],
    "confusions": dict[str, list[list[Steps]]],
    "curve": list[Annotated[list[Finite], Len(2, 2)]],
    "neuron_labels": list[int] | None,
    "input_spikes": Finite | None,  # pyright: ignore[reportOperatorIssue]
    "output_spikes": Finite | None,  # pyright: ignore[reportOperatorIssue]
    "synaptic_operations": Finite,
}
MORE_FIELDS: dict[str, Any] = {  # which some of them have
    "theta_mean": Finite,
    "rung": Steps,
    "architecture": str,
    "accuracy_after": Annotated[list[Probability], Len(1)],
    "layer_spikes": list[Finite],
    "price": _PRICE,
    "price_of_learning": _PRICE,
}


@functools.cache
def _adapter(field: str) -> TypeAdapter[Any]:
    return TypeAdapter((FIELDS | MORE_FIELDS)[field], config=ConfigDict(strict=True))


def check(line: Mapping[str, Any]) -> None:
    """Raises ValueError unless the line of a trial has what readers ask of it, and its accuracies are those of its
    confusion matrices.
    """
    if missing := [field for field in FIELDS if field not in line]:
        raise ValueError(f"it has no {' and no '.join(missing[:3])}")
    for field in (FIELDS | MORE_FIELDS).keys() & line.keys():
        try:
            _adapter(field).validate_python(line[field])
        except ValidationError as error:
            reason = error.errors()[0]["msg"].replace("Input should", "it should")
            raise ValueError(f"{field} = {text.plain(repr(line[field]), 80)}: {reason}") from None
    if line["readout"] not in line["readouts"] or line["readouts"].keys() != line["confusions"].keys():
        raise ValueError("readouts, confusions: they should be of the same read-outs, `readout` among them")
    for kind, matrix in line["confusions"].items():
        n, right = sum(map(sum, matrix)), sum(row[i] for i, row in enumerate(matrix) if i < len(row))
        if n != line["n_evaluated"] or abs(right / n - line["readouts"][kind]) > 1e-9:
            raise ValueError(
                f"readouts.{kind}: it is {line['readouts'][kind]}, and its confusion matrix has {right} right of {n}"
            )
    if line["accuracy"] != line["readouts"][line["readout"]]:
        raise ValueError(f"accuracy: it should be that of readouts.{line['readout']}")


def trials(path: Path) -> list[dict[str, Any]]:
    """The lines of trials in a results file, none if there is no file. Raises InputError for one that is not as it was
    written, or does not hold (`check`).
    """
    lines = read(path)
    for number, line in enumerate(lines, 1):
        try:
            check(line)
        except ValueError as error:
            raise damaged(f"{path}:{number}: {error}", path) from None
    return lines


def by_cell(records: Iterable[R]) -> dict[tuple[str, str, str], list[R]]:
    """The records of each cell (encoder, neuron, rule), in order."""
    cells: dict[tuple[str, str, str], list[R]] = {}
    for r in records:
        cells.setdefault((r["encoder"], r["neuron"], r["rule"]), []).append(r)
    return cells


def tuned(records: Iterable[R]) -> dict[tuple[str, str, str], tuple[R, R]]:
    """Of each cell in the last rung of a search (`jsnn.runs.search`): the line of the config's own numbers, and the
    best.
    """
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
    write_whole(path, _content(path) + _lines(records))


def write(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Replace a file by these records, a line each."""
    write_whole(path, _lines(records))


def _lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(sealed.dumps(record) + "\n" for record in records).encode()
