"""Components of one's own: classes that a config names by the file or the package they are in.

    [rule.oja]
    kind = "my_rules.py:Oja"          a file, beside the config
    kind = "my_package.rules:Oja"     a module that is installed

A component is a class decorated with `jsnn.node`, with the methods of its protocol (`jsnn.core.protocols`), and with a
default for each of its fields; or an instance of one. A run keeps a copy of each such file in its directory, so that
whoever reads it later needs no other, and --resume goes on with the same code only.
"""

import dataclasses
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from jsnn.core.errors import InputError

LARGEST_FILE = 10**6  # bytes


@dataclasses.dataclass(frozen=True)
class Component:
    """An instance of a class that a config names, in the place of the name."""

    name: str  # as the config has it: "my_rules.py:Oja"
    value: Any


def resolve(tables: Mapping[str, Any], base: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Load what the keys `kind` of a study's tables name by file or module.

    Args:
        tables: The tables of a study.
        base: The directory that files are relative to.

    Returns:
        The tables with a `Component` in the place of each such name, and the contents of the files by their names.

    Raises:
        InputError: There is no such file, module or class, it cannot be imported, or it is no component.
    """
    sources: dict[str, bytes] = {}

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return {key: walk(item, f"{path}.{key}".lstrip(".")) for key, item in value.items()}
        if path.endswith(".kind") and isinstance(value, str) and ":" in value:
            return _load(value, base, path, sources)
        return value

    return walk(tables, ""), sources


def digests(sources: Mapping[str, bytes]) -> dict[str, str]:
    """The SHA-256 of each file, by its name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in sources.items()}


def missing(value: Any, protocol: type) -> list[str]:
    """The methods and properties of a protocol that an object does not have."""
    wanted = [name for each in protocol.__mro__ if each is not object for name in vars(each) if name[0] != "_"]
    return sorted({name for name in wanted if not hasattr(value, name)})


def _load(name: str, base: Path, where: str, sources: dict[str, bytes]) -> Component:
    place, _, attribute = name.rpartition(":")
    if place.endswith(".py"):
        content = _read(base / place, where, name)
        if sources.setdefault(Path(place).name, content) != content:
            raise InputError(f'{where} = "{name}": another file is called {Path(place).name}, too; rename one of them')
        module = _from_source(base / place, content, where, name)
    else:
        try:
            module = importlib.import_module(place)
        except Exception as error:  # whatever another's module raises
            raise InputError(f'{where} = "{name}": the module {place} cannot be imported: {_reason(error)}') from error
    if not attribute.isidentifier() or not hasattr(module, attribute):
        raise InputError(f'{where} = "{name}": {place} has no {attribute!r}; it should be a class or an instance in it')
    value = getattr(module, attribute)
    if isinstance(value, type):
        try:
            value = value()
        except TypeError as error:
            raise InputError(f'{where} = "{name}": each of its fields should have a default: {error}') from None
    if not dataclasses.is_dataclass(value) or jax.tree_util.all_leaves([value]):
        raise InputError(f'{where} = "{name}": it should be a class decorated with @jsnn.node')
    return Component(name, value)


def _read(path: Path, where: str, name: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f'{where} = "{name}": cannot read {path}: {error.strerror}') from None
    if len(content) > LARGEST_FILE:
        raise InputError(f'{where} = "{name}": {path} has more than {LARGEST_FILE} bytes; it should be a Python module')
    return content


def _from_source(path: Path, content: bytes, where: str, name: str) -> Any:
    """The module of a file. The same content is the same module, wherever it lies: its classes are the same objects."""
    key = f"{path.stem}_{hashlib.sha256(content).hexdigest()[:16]}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever another's code raises
        del sys.modules[key]
        raise InputError(f'{where} = "{name}": {path} cannot be imported: {_reason(error)}') from error
    return module


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
