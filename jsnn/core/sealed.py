"""JSON objects that carry a checksum of themselves, so that a reader knows they are as they were written.

The last key of each is "sha256": the first 16 hex digits of the SHA-256 of the canonical JSON of the rest (keys sorted,
no spaces). JSON has no infinite numbers: they are written {"float": "inf"}, which no table of a config is; NaN becomes
null.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

CHECKSUM = "sha256"
INFINITE = {"inf": math.inf, "-inf": -math.inf}


class Damaged(ValueError):
    """The text is not as it was written; the message says why."""


def plain(value: Any) -> Any:
    """Convert a value to what JSON can hold: infinite numbers become {"float": "inf"}, NaN becomes null."""
    if isinstance(value, Mapping):
        return {key: plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else {"float": "inf" if value > 0 else "-inf"}
    return value


def digest(value: Any) -> str:
    """Compute the checksum of a value that is written as JSON."""
    canonical = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def dumps(value: Mapping[str, Any], indent: int | None = None) -> str:
    """Write an object as JSON with its checksum as the last key.

    Args:
        value: The object.
        indent: Spaces of indentation; None writes one line.

    Returns:
        The JSON text.
    """
    return json.dumps(plain(value) | {CHECKSUM: digest(value)}, indent=indent, allow_nan=False)


def loads(text: bytes) -> dict[str, Any]:
    """Read an object that `dumps` has written.

    Args:
        text: The JSON text.

    Returns:
        The object without its checksum.

    Raises:
        Damaged: The text is not a JSON object, has no checksum, or its checksum does not match.
    """
    try:
        value = json.loads(text, object_hook=_infinite, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Damaged("not a JSON object")
    if CHECKSUM not in value:
        raise Damaged("it has no checksum, as of an older jsnn")
    checksum = value.pop(CHECKSUM)
    if checksum != digest(value):
        raise Damaged("it is not as it was written: its checksum does not hold")
    return value


def _infinite(table: dict[str, Any]) -> Any:
    word = table.get("float")
    return INFINITE[word] if len(table) == 1 and isinstance(word, str) and word in INFINITE else table


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
