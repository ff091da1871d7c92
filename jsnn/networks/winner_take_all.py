"""The tie-break: who fires among the neurons of a layer that cross their threshold in the same step."""

from typing import Literal, assert_never

import jax.numpy as jnp
from jax import Array

TieBreak = Literal["none", "first", "random", "furthest"]


def winners(tie_break: TieBreak, excess: Array, draws: Array | None = None, n_winners: int = 1) -> Array:
    """Which neurons fire, `bool[batch, n_neurons]`, given how far each is over its threshold (mV, < 0: not).

    "none": all that cross. Otherwise `n_winners` of them, or all if they are no more, chosen one after the other among
    those that are left. "random": one of these, uniformly, by `draws` float32[batch, n_winners] in [0, 1) (BindsNET's
    one_spike). "furthest": the one furthest over its threshold (k-winners-take-all). "first": the one of lowest index
    (deterministic, for comparing implementations).
    """
    crossed = excess >= 0
    if tie_break == "none":
        return crossed
    fired = jnp.zeros_like(crossed)
    for k in range(n_winners):
        left = crossed & ~fired
        if tie_break == "first":
            rank = left.astype(float)
        elif tie_break == "random":
            assert draws is not None
            n = jnp.sum(left, axis=-1, keepdims=True)
            chosen = jnp.floor(draws[:, k, None] * n).astype(int)  # which of them, in order of index
            rank = (jnp.cumsum(left, axis=-1) == 1 + jnp.minimum(chosen, n - 1)).astype(float)
        elif tie_break == "furthest":
            rank = jnp.where(left, excess, -1.0)
        else:
            assert_never(tie_break)
        fired = fired | left & _is_largest(rank)
    return fired


def _is_largest(rank: Array) -> Array:
    """Where the largest in each row is, the first of them: what `argmax` says, in a third of the time on a CPU."""
    place = jnp.arange(rank.shape[-1])
    among = jnp.where(rank == jnp.max(rank, axis=-1, keepdims=True), place, place.size)
    return place == jnp.min(among, axis=-1, keepdims=True)
