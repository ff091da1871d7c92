"""What learns otherwise than by local plasticity: gradients of spiking networks, and baselines without spikes."""

from typing import Protocol, runtime_checkable

from jsnn.learners.bptt import BPTT
from jsnn.learners.conversion import Conversion
from jsnn.learners.eprop import EProp
from jsnn.learners.optimiser import Optimiser
from jsnn.networks.feedforward import BatchMetrics, Feedforward, LabelledBatch, Params


@runtime_checkable
class Learner(Protocol):
    """Says which way the parameters of a feedforward network should go after a batch."""

    @property
    def optimiser(self) -> Optimiser:
        """What makes an update of it."""
        ...

    def gradient(self, network: Feedforward, params: Params, batch: LabelledBatch) -> tuple[Params, BatchMetrics]:
        """Of the loss; and what was measured on the way."""
        ...


LEARNERS: dict[str, Learner] = {"bptt": BPTT(), "eprop": EProp(), "conversion": Conversion()}
