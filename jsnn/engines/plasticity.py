"""From the two functions of a rule to a weight change: the sum over both events of a synapse, reduced over a batch.

Also what engines share besides it: how postsynaptic traces move, and what silent inputs learn.
"""

from typing import assert_never

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import Reduction, Rule
from jsnn.core.pytree import node


@node
class PostTraces:
    """The traces of postsynaptic neurons, each float32[..., n_neurons]; None where a rule has none."""

    fast: Array | None
    slow: Array | None


def initial_traces(rule: Rule, shape: tuple[int, ...]) -> PostTraces:
    """Create the traces at the start of a presentation, for neurons of the given shape."""
    return PostTraces(
        fast=None if rule.post_trace is None else jnp.zeros(shape),
        slow=None if rule.slow_trace is None else jnp.zeros(shape),
    )


def update_traces(rule: Rule, traces: PostTraces, spikes: Array, dt: Array | float) -> tuple[PostTraces, Array]:
    """Advance the postsynaptic traces by one time step.

    Args:
        rule: The learning rule.
        traces: Traces before the step.
        spikes: Postsynaptic spikes of the step, bool[..., n_neurons].
        dt: Time step, ms.

    Returns:
        The traces with these spikes in them, and the size of each spike, float32[..., n_neurons] (0 where there is
            none).
    """
    fast, slow, size = traces.fast, traces.slow, spikes.astype(float)
    if rule.post_trace is not None and traces.fast is not None:
        fast = rule.post_trace.step(traces.fast, spikes, dt)
    if rule.slow_trace is not None and traces.slow is not None:
        size = size * rule.slow_trace.decay(traces.slow, dt)
        slow = rule.slow_trace.step(traces.slow, spikes, dt)
    return PostTraces(fast=fast, slow=slow), size


def update_silent_inputs(rule: Rule, w: Array, n_spikes: Array, in_first_step: Array) -> Array:
    """Update the weights of inputs that were silent in a whole presentation.

    A spike in the first step finds the weights where the normalisation has put them, all others find them within their
    bounds.

    Args:
        rule: The learning rule.
        w: Weights before the presentation, mV, [n_pre, n_post].
        n_spikes: Spikes of each neuron, [n_post].
        in_first_step: Whether each neuron fired in the first step, bool[n_post].

    Returns:
        Weights after the presentation, mV, [n_pre, n_post].
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
    """Reduce the products left[b, i] * right[b, j] over the presentations b of a batch.

    "sum": each presentation counts as much as it would online. "mean": divided by the size of the batch. "mean_fired":
    divided, for each neuron j, by the number of presentations in which it has fired so far. "max": the largest.

    Args:
        left: [batch, n_left].
        right: [batch, n_right].
        reduction: The reduction.
        n_valid: Number of real presentations.
        n_fired: Number of presentations in which each neuron has fired so far, [n_right].

    Returns:
        [n_left, n_right].
    """
    if left.shape[0] == 1 and reduction != "max":
        return left[0, :, None] * right[0]  # all reductions of one presentation agree; this fuses with its use
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
    """Compute the weight change of one step, before the bounds.

    For one presentation it is dw[i, j] = s_pre[i] on_pre(w[i, j], post[j]) + size[j] on_post(w[i, j], pre[i]). As both
    functions are affine in the trace they read, on_pre(w, y) = a(w) + y b(w), their sum over a batch is a(w) sum_b
    s_pre + b(w) sum_b s_pre post, which needs one matrix product and no array of batch x n_pre x n_post. The
    postsynaptic part is skipped in steps in which no neuron fires.

    Args:
        rule: The learning rule.
        w: Weights before the step, mV, [n_pre, n_post].
        s_pre: Presynaptic spikes, bool[batch, n_pre].
        size: Sizes of the postsynaptic spikes, [batch, n_post].
        pre: Presynaptic traces, [batch, n_pre].
        post: Postsynaptic traces, [batch, n_post]; None where the rule has none.
        reduction: How the presentations of the batch are reduced.
        n_valid: Number of real presentations.
        n_fired: Number of presentations in which each neuron has fired so far, [n_post].

    Returns:
        The weight change, mV, float32[n_pre, n_post].
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
    """Compute the weight change of one step where every synapse has spikes and a presynaptic trace of its own.

    Args:
        rule: The learning rule.
        w: Weights before the step, mV, [n_pre, n_post].
        arrived: Whether a spike arrives at each synapse, bool[n_pre, n_post].
        size: Sizes of the postsynaptic spikes, [1, n_post].
        pre: Presynaptic traces, [n_pre, n_post].
        post: Postsynaptic traces, [1, n_post]; None where the rule has none.

    Returns:
        The weight change before the bounds, mV, [n_pre, n_post].
    """
    dw = size * rule.on_post(w, pre, 0.0)
    return dw if post is None else dw + jnp.where(arrived, rule.on_pre(w, 0.0, post), 0.0)
