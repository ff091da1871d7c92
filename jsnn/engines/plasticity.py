"""From two elementwise functions to a weight change: the sum over synapses' two events, reduced over a batch.

And what engines share beside it: how postsynaptic traces move, and what silent inputs learn.
"""

from typing import assert_never

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import Reduction, Rule
from jsnn.core.pytree import node


@node
class PostTraces:
    """The traces of postsynaptic neurons, `float32[..., n_neurons]`; None where a rule has none."""

    fast: Array | None
    slow: Array | None


def initial_traces(rule: Rule, shape: tuple[int, ...]) -> PostTraces:
    """The traces at the start of a presentation."""
    return PostTraces(
        fast=None if rule.post_trace is None else jnp.zeros(shape),
        slow=None if rule.slow_trace is None else jnp.zeros(shape),
    )


def update_traces(rule: Rule, traces: PostTraces, spikes: Array, dt: Array | float) -> tuple[PostTraces, Array]:
    """The traces with this step's `spikes` (bool) in them, and the sizes of these spikes."""
    fast, slow, size = traces.fast, traces.slow, spikes.astype(float)
    if rule.post_trace is not None and traces.fast is not None:
        fast = rule.post_trace.step(traces.fast, spikes, dt)
    if rule.slow_trace is not None and traces.slow is not None:
        size = size * rule.slow_trace.decay(traces.slow, dt)
        slow = rule.slow_trace.step(traces.slow, spikes, dt)
    return PostTraces(fast=fast, slow=slow), size


def update_silent_inputs(rule: Rule, w: Array, n_spikes: Array, in_first_step: Array) -> Array:
    """Weights `[n_pre, n_post]` after a presentation in which their inputs were silent and the neurons fired `n_spikes`
    [n_post] times, the first time in its first step where `in_first_step` (bool[n_post]) is set.

    A spike of the first step finds the weights where the normalisation has put them, all others within their bounds.
    """
    within = jnp.clip(w, rule.w_min, rule.w_max)
    if not rule.updates_silent_inputs:
        return within

    def learned(w):
        return jnp.clip(w + rule.on_post(w, 0.0, 0.0), rule.w_min, rule.w_max)

    def spike(k, w):
        return jnp.where(k < n_spikes - in_first_step, learned(w), w)

    start = jnp.where(in_first_step, learned(w), within)
    return jax.lax.fori_loop(0, jnp.max(n_spikes).astype(int), spike, start)


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
    size: Array,
    pre: Array,
    post: Array | None,
    reduction: Reduction,
    n_valid: Array,
    n_fired: Array,
) -> Array:
    """The weight change of one step, before the bounds: `float32[n_pre, n_post]`.

    For one presentation it is dw[i, j] = s_pre[i] on_pre(w[i, j], post[j]) + size[j] on_post(w[i, j], pre[i]).
    As both functions are affine in the trace they read, on_pre(w, y) = a(w) + y b(w), their sum over a batch is
    a(w) sum_b s_pre + b(w) sum_b s_pre post, which needs one matrix product and no array of batch x n_pre x n_post.
    The post event is skipped in steps in which no neuron fires.
    """
    s_pre, size = s_pre.astype(w.dtype), size.astype(w.dtype)

    def reduced(left, right):
        return pairs(left, right, reduction, n_valid, n_fired)

    n_post = reduced(jnp.ones_like(pre[:, :1]), size)
    shape = w.shape
    if pre.shape[0] == 1:
        post_pairs = reduced(pre, size)
    else:
        post_pairs = jax.lax.cond(jnp.any(size > 0), lambda: reduced(pre, size), lambda: jnp.zeros(shape, w.dtype))
    at_post = rule.on_post(w, 0.0, 0.0)
    dw = at_post * n_post + (rule.on_post(w, 1.0, 0.0) - at_post) * post_pairs
    if post is None:
        return dw
    at_pre = rule.on_pre(w, 0.0, 0.0)
    n_pre, pre_pairs = reduced(s_pre, jnp.ones_like(post[:, :1])), reduced(s_pre, post)
    return at_pre * n_pre + (rule.on_pre(w, 0.0, 1.0) - at_pre) * pre_pairs + dw


def change_per_synapse(rule: Rule, w: Array, arrived: Array, size: Array, pre: Array, post: Array | None) -> Array:
    """The weight change of one step where every synapse has arrivals and a presynaptic trace of its own: `arrived` and
    `pre` [n_pre, n_post], of one presentation.
    """
    dw = size * rule.on_post(w, pre, 0.0)
    return dw if post is None else dw + jnp.where(arrived, rule.on_pre(w, 0.0, post), 0.0)
