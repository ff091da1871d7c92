"""The response of a learning rule to isolated pairs of spikes: its STDP window, measured by applying the rule."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn.core.protocols import Rule
from jsnn.engines import plasticity


def middle_weight(rule: Rule) -> float:
    """Return the weight in the middle between a rule's bounds, mV, or 0.5 where one of them is infinite.

    Args:
        rule: The learning rule.

    Returns:
        The weight, mV.
    """
    middle = 0.5 * (float(rule.w_min) + float(rule.w_max))
    return middle if np.isfinite(middle) else 0.5


def window(
    rule: Rule, lags: np.ndarray, dt: float = 1.0, w: float | None = None, slow: float | None = None
) -> np.ndarray:
    """Measure the weight change of one pair of spikes as a function of the time between them.

    Each pair is presented to a synapse at rest: the traces of the rule move step by step, and its two functions are
    applied at the spikes. The weight is `w` throughout, so that the changes of both events add up.

    Args:
        rule: The learning rule.
        lags: Steps from the presynaptic spike to the postsynaptic one, int[n]; negative: the postsynaptic one is first.
        dt: Time step, ms.
        w: Weight, mV; by default `middle_weight`.
        slow: For a rule with a slow trace: its value at the postsynaptic spike, as if other postsynaptic spikes had
            come before; None: there were none.

    Returns:
        dw, in the unit of the weight, float32[n].
    """
    lags = np.asarray(lags)
    span = int(np.max(np.abs(lags), initial=0))
    weight = jnp.asarray(middle_weight(rule) if w is None else w, float)
    t = jnp.arange(2 * span + 1)[:, None]
    of_pre, of_post = t == span, t == span + lags

    def step(carry: tuple[Array, plasticity.PostTraces, Array], spikes: tuple[Array, Array]):
        pre, post, total = carry
        s_pre, s_post = spikes
        pre = rule.pre_trace.step(pre, s_pre, dt)
        post, size = plasticity.update_traces(rule, post, s_post, dt)
        if slow is not None and rule.slow_trace is not None:
            size = slow * s_post
        dw = size * rule.on_post(weight, pre, 0.0)
        if post.fast is not None:
            dw = dw + s_pre * rule.on_pre(weight, 0.0, post.fast)
        return (pre, post, total + dw), None

    shape = lags.shape
    start = jnp.zeros(shape), plasticity.initial_traces(rule, shape), jnp.zeros(shape)
    return np.asarray(jax.lax.scan(step, start, (of_pre, of_post))[0][2])
