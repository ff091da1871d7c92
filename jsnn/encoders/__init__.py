"""Encoders: one model a file; configs, contract tests and documentation read the registries below."""

from jsnn.core.protocols import Encoder
from jsnn.encoders.bernoulli import Bernoulli
from jsnn.encoders.bindsnet import BindsnetBernoulli, BindsnetPoisson, BindsnetRankOrder
from jsnn.encoders.direct import Direct
from jsnn.encoders.poisson import Poisson
from jsnn.encoders.rank_order import RankOrder
from jsnn.encoders.recording import Recording

ENCODERS: dict[str, Encoder] = {
    "poisson": Poisson(),
    "bernoulli": Bernoulli(),
    "rank_order": RankOrder(),
    "bindsnet_poisson": BindsnetPoisson(),
    "bindsnet_bernoulli": BindsnetBernoulli(),
    "bindsnet_rank_order": BindsnetRankOrder(),
}

# Encoders for networks trained by gradients: currents instead of spikes, or recorded spikes.
GIVEN: dict[str, Encoder] = {
    "direct": Direct(),
    "events": Recording(),
    "accumulated_events": Recording(accumulated=True),
}
