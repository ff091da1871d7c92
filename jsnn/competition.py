"""The tie-break: who fires among the neurons of a layer that cross their threshold in the same step."""

from typing import Literal, assert_never

import jax
import jax.numpy as jnp
from jax import Array

TieBreak = Literal["none", "first", "random", "furthest"]


def winners(tie_break: TieBreak, excess: Array, key: Array) -> Array:
    """Which neurons fire, `bool[batch, n_neurons]`, given how far each is over its threshold (mV, < 0: not).

    "none": all that cross. "random": one of them, uniformly (BindsNET's one_spike). "furthest": the one furthest
    over its threshold. "first": the one of lowest index (deterministic, for comparing implementations).
    """
    crossed = excess >= 0
    if tie_break == "none":
        return crossed
    if tie_break == "first":
        rank = crossed.astype(float)
    elif tie_break == "random":
        n = jnp.sum(crossed, axis=-1, keepdims=True)
        chosen = jnp.floor(jax.random.uniform(key, n.shape) * n).astype(int)  # which of them, in order of index
        rank = (jnp.cumsum(crossed, axis=-1) == 1 + jnp.minimum(chosen, n - 1)).astype(float)
    elif tie_break == "furthest":
        rank = excess
    else:
        assert_never(tie_break)
    return crossed & (jnp.arange(excess.shape[-1]) == jnp.argmax(rank, axis=-1, keepdims=True))
