"""STDP with soft bounds."""

from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Finite, NonNegative
from jsnn.core.trace import Trace


@node
class WeightDependentSTDP(Node):
    """Pair-based STDP whose steps shrink towards the bounds (Gütig et al. 2003, mu = 1).

        at a presynaptic spike    dw = -eta_pre * post * (w - w_min)
        at a postsynaptic spike   dw = +eta_post * pre * (w_max - w)

    It is BindsNET's WeightDependentPostPre. Both functions use the weight before the step. The bounds must be finite.
    """

    eta_pre: NonNegative = 1e-4  # depression
    eta_post: NonNegative = 1e-2  # potentiation
    w_min: Finite = 0.0
    w_max: Finite = 1.0
    pre_trace: Trace = Trace()
    post_trace: Trace = Trace()
    slow_trace = None
    updates_silent_inputs = False

    def on_pre(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a presynaptic spike; see `jsnn.core.protocols.Rule.on_pre`."""
        return -self.eta_pre * post * (w - self.w_min)

    def on_post(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a postsynaptic spike; see `jsnn.core.protocols.Rule.on_post`."""
        return self.eta_post * pre * (self.w_max - w)
