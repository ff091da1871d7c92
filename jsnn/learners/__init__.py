"""What learns otherwise than by local plasticity: gradients of spiking networks, and baselines without spikes."""

from typing import Protocol, runtime_checkable

from jax import Array

from jsnn.feedforward import Feedforward, Measured, Params
from jsnn.learners.bptt import BPTT
from jsnn.learners.conversion import Conversion
from jsnn.learners.eprop import EProp
from jsnn.learners.optimiser import Optimiser


@runtime_checkable
class Learner(Protocol):
    """Says which way the parameters of a feedforward network should go after a batch."""

    @property
    def optimiser(self) -> Optimiser:
        """What makes an update of it."""
        ...

    def gradient(
        self,
        network: Feedforward,
        params: Params,
        x: Array,
        labels: Array,
        n_steps: int,
        dt: Array | float,
        key: Array | None = None,
    ) -> tuple[Params, Measured]:
        """Against the loss of inputs `x` (as in `Feedforward.respond`) of classes `labels` int32[batch]; and what was
        measured on the way. `key` is for dropout.
        """
        ...


LEARNERS: dict[str, Learner] = {"bptt": BPTT(), "eprop": EProp(), "conversion": Conversion()}
