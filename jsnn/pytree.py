"""Configuration and state as frozen dataclasses that JAX understands.

A `node` is a frozen, keyword-only dataclass registered as a pytree. Its plain fields are leaves: numbers that can be
traced, swept, vmapped and checkpointed. Its `static` fields and its class are the tree's structure: changing one of
them chooses another program, so `jit` compiles again for it, and for nothing else.
"""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static(default: Any = dataclasses.MISSING, **kwargs: Any) -> Any:
    """A field that is part of the program, not a number in it (a size, a mode)."""
    return dataclasses.field(default=default, metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(static, dataclasses.field))
def node(cls: type[T]) -> type[T]:
    """Class decorator: a frozen keyword-only dataclass that is a pytree with named leaves.

    `register_dataclass` calls `__init__` whenever a tree is rebuilt, with tracers or placeholders in the fields, so a
    node never validates itself: `jsnn.config` does that once, where a user's numbers enter.
    """
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True, kw_only=True)(cls))


def static_fields(tree: Any) -> set[str]:
    """Names of the static fields of one node (not of its children)."""
    return {f.name for f in dataclasses.fields(tree) if f.metadata.get("static")}
