"""results.jsonl: one JSON object a finished trial, the only file that tables, figures and statistics read."""

import json
import os
from pathlib import Path
from typing import Any

from jsnn.errors import InputError


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by new content, or leave it as it was: a reader never sees half of it.

    Raises InputError where that is not possible.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a results file; none if there is no file. Raises InputError for a line that is not JSON."""
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not a JSON object ({error.msg}); remove the line") from error
    return records


def append(path: Path, records: list[dict[str, Any]]) -> None:
    """Append records: all of them or, whatever happens meanwhile, none."""
    before = path.read_bytes() if path.exists() else b""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    write_whole(path, before + lines.encode())
