"""Configuration and state as frozen dataclasses that JAX understands.

A `node` is a frozen, keyword-only dataclass registered as a pytree. Its plain fields are leaves: numbers that can be
traced, swept, vmapped and checkpointed. Its `static` fields and its class are the tree's structure: changing one of
them chooses another program, so `jit` compiles again for it, and for nothing else.
"""

import dataclasses
from typing import Any, Self, TypeVar, dataclass_transform

import jax

from jsnn.core.errors import InputError

T = TypeVar("T")


class Node:
    """The methods that every node has.

    Inheriting from it tells editors and type checkers about them; the decorator `node` adds them in any case.
    """

    def replace(self, **changes: Any) -> Self:
        """Return a copy of this node with some of its fields changed; the node itself stays as it is.

        Args:
            **changes: New values, by the names of the fields: `neuron.replace(tau_m=50.0)`.

        Returns:
            A new node of the same class.

        Raises:
            InputError: A name is not a field of the node.
        """
        known = [field.name for field in dataclasses.fields(self)]  # pyright: ignore[reportArgumentType]
        for name in changes:
            if name not in known:
                raise InputError(f"{type(self).__name__} has no field {name!r}; its fields are {', '.join(known)}")
        return dataclasses.replace(self, **changes)  # pyright: ignore[reportArgumentType]


def static(default: Any = dataclasses.MISSING, **kwargs: Any) -> Any:
    """Declare a field that is part of the program, such as a size or a mode, and not a number in it.

    Args:
        default: Default value of the field; by default the field has none.
        **kwargs: Further arguments of `dataclasses.field`.

    Returns:
        The field, for the body of a class that `node` decorates.
    """
    return dataclasses.field(default=default, metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(static, dataclasses.field))
def node(cls: type[T]) -> type[T]:
    """Make a class a frozen, keyword-only dataclass that is a pytree with named leaves.

    The class is part of the tree's structure. (`jax.tree_util.register_dataclass` leaves it out of the comparison in
    jaxlib 0.10.1: two classes with the same fields then sometimes share a compiled program.)

    `__init__` runs whenever a tree is rebuilt, with tracers or placeholders in the fields, so a node never validates
    itself: `jsnn.runs.config` does that once, where a user's numbers enter.

    Args:
        cls: The class; its annotations are the fields.

    Returns:
        The dataclass.
    """
    dataclass_: Any = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    if not hasattr(cls, "replace"):
        dataclass_.replace = Node.replace
    modes = tuple(f.name for f in dataclasses.fields(dataclass_) if f.metadata.get("static"))
    numbers = tuple(f.name for f in dataclasses.fields(dataclass_) if f.name not in modes)
    keys = tuple(jax.tree_util.GetAttrKey(name) for name in numbers)

    def flatten(x):
        return [getattr(x, name) for name in numbers], (dataclass_, *(getattr(x, name) for name in modes))

    def flatten_with_keys(x):
        children, structure = flatten(x)
        return list(zip(keys, children, strict=True)), structure

    def unflatten(structure, children):
        return dataclass_(**dict(zip(numbers, children, strict=True)), **dict(zip(modes, structure[1:], strict=True)))

    jax.tree_util.register_pytree_with_keys(dataclass_, flatten_with_keys, unflatten, flatten)
    return dataclass_


def static_fields(tree: Any) -> set[str]:
    """Collect the names of the static fields of one node, but not of its children."""
    return {f.name for f in dataclasses.fields(tree) if f.metadata.get("static")}
