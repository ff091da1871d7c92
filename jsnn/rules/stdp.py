"""Pair-based spike-timing-dependent plasticity."""

from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import NonNegative, Real
from jsnn.core.trace import Trace


@node
class STDP(Node):
    """Pair-based STDP with nearest-spike traces (Morrison, Diesmann & Gerstner 2008, §4.1; BindsNET's PostPre).

        at a presynaptic spike    dw = -eta_pre * post
        at a postsynaptic spike   dw = +eta_post * pre

    A postsynaptic spike k steps after a presynaptic one adds eta_post * exp(-k dt / tau_pre); a presynaptic spike k
    steps after a postsynaptic one takes eta_pre * exp(-k dt / tau_post). Spikes of both in the same step count in both.
    """

    eta_pre: NonNegative = 1e-4  # depression
    eta_post: NonNegative = 1e-2  # potentiation
    w_min: Real = 0.0
    w_max: Real = 1.0
    pre_trace: Trace = Trace()
    post_trace: Trace = Trace()
    slow_trace = None
    updates_silent_inputs = False

    def on_pre(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a presynaptic spike; see `jsnn.core.protocols.Rule.on_pre`."""
        return -self.eta_pre * post

    def on_post(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a postsynaptic spike; see `jsnn.core.protocols.Rule.on_post`."""
        return self.eta_post * pre
