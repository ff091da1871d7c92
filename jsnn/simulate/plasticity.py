"""From two elementwise functions to a weight change: the sum over synapses' two events, reduced over a batch."""

from typing import assert_never

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.types import Reduction, Rule


def pairs(left: Array, right: Array, reduction: Reduction, n_valid: Array, n_fired: Array) -> Array:
    """Reduce left[b, i] * right[b, j] over the presentations b of a batch: `[n_left, n_right]`.

    "sum": each presentation counts as much as it would online. "mean": divided by the batch's size. "mean_fired":
    divided, for each neuron j, by the number of presentations in which it has fired so far. "max": the largest.
    """
    if left.shape[0] == 1 and reduction != "max":
        return left[0, :, None] * right[0]  # all reductions of one are the same; fuses with what uses it
    if reduction == "max":
        return jax.lax.fori_loop(
            0,
            left.shape[0],
            lambda b, m: jnp.maximum(m, left[b, :, None] * right[b]),
            jnp.zeros((left.shape[1], right.shape[1]), left.dtype),
        )
    total = left.T @ right
    if reduction == "mean":
        return total / jnp.maximum(n_valid, 1)
    if reduction == "mean_fired":
        return total / jnp.maximum(n_fired, 1)
    if reduction == "sum":
        return total
    assert_never(reduction)


def change(
    rule: Rule,
    w: Array,
    s_pre: Array,
    s_post: Array,
    pre: Array,
    post: Array,
    reduction: Reduction,
    n_valid: Array,
    n_fired: Array,
) -> Array:
    """The weight change of one step, before the bounds: `float32[n_pre, n_post]`.

    For one presentation it is dw[i, j] = s_pre[i] on_pre(w[i, j], post[j]) + s_post[j] on_post(w[i, j], pre[i]).
    As both functions are affine in the trace they read, on_pre(w, y) = a(w) + y b(w), their sum over a batch is
    a(w) sum_b s_pre + b(w) sum_b s_pre post, which needs one matrix product and no array of batch x n_pre x n_post.
    The post event is skipped in steps in which no neuron fires.
    """
    s_pre, s_post = s_pre.astype(w.dtype), s_post.astype(w.dtype)

    def reduced(left, right):
        return pairs(left, right, reduction, n_valid, n_fired)

    n_pre = reduced(s_pre, jnp.ones_like(post[:, :1]))
    pre_pairs = reduced(s_pre, post)
    n_post = reduced(jnp.ones_like(pre[:, :1]), s_post)
    shape = (pre.shape[1], post.shape[1])
    if pre.shape[0] == 1:
        post_pairs = reduced(pre, s_post)
    else:
        post_pairs = jax.lax.cond(jnp.any(s_post > 0), lambda: reduced(pre, s_post), lambda: jnp.zeros(shape, w.dtype))
    at_pre, at_post = rule.on_pre(w, 0.0, 0.0), rule.on_post(w, 0.0, 0.0)
    return (
        at_pre * n_pre
        + (rule.on_pre(w, 0.0, 1.0) - at_pre) * pre_pairs
        + at_post * n_post
        + (rule.on_post(w, 1.0, 0.0) - at_post) * post_pairs
    )
