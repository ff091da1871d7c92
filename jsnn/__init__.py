"""jsnn: spiking neural networks as pure functions, for studies of encoders, neurons and learning rules in JAX.

    import jsnn

is enough for daily work: `dir(jsnn)` has all names. A name is imported when it is first used, so that importing jsnn
itself takes no time. The functions are in `jsnn.api`; what else is exported is in the module that the table below says.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jsnn import data as data
    from jsnn import plots as plots
    from jsnn.api import infer as infer
    from jsnn.api import learn as learn
    from jsnn.api import simulate as simulate
    from jsnn.api import simulate_neuron as simulate_neuron
    from jsnn.core.errors import InputError as InputError
    from jsnn.core.pytree import Node as Node
    from jsnn.core.pytree import node as node
    from jsnn.core.pytree import static as static
    from jsnn.core.trace import Trace as Trace
    from jsnn.encoders import Bernoulli as Bernoulli
    from jsnn.encoders import Direct as Direct
    from jsnn.encoders import Poisson as Poisson
    from jsnn.encoders import RankOrder as RankOrder
    from jsnn.engines.record import Record as Record
    from jsnn.engines.stimulus import Inputs as Inputs
    from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold as AdaptiveThreshold
    from jsnn.homeostasis.synaptic_scaling import SynapticScaling as SynapticScaling
    from jsnn.inhibition import DirectInhibition as DirectInhibition
    from jsnn.inhibition import InhibitoryLayer as InhibitoryLayer
    from jsnn.learners.plasticity.fit import Result as Result
    from jsnn.learners.plasticity.fit import fit as fit
    from jsnn.networks.competitive import CompetitiveNetwork as CompetitiveNetwork
    from jsnn.networks.competitive import Learned as Learned
    from jsnn.networks.feedforward import Feedforward as Feedforward
    from jsnn.neurons import IF as IF
    from jsnn.neurons import LIF as LIF
    from jsnn.neurons import SRM0 as SRM0
    from jsnn.neurons import EulerLIF as EulerLIF
    from jsnn.rules import STDP as STDP
    from jsnn.rules import Exponential as Exponential
    from jsnn.rules import Hebbian as Hebbian
    from jsnn.rules import PowerLaw as PowerLaw
    from jsnn.rules import PreAndPost as PreAndPost
    from jsnn.rules import Triplet as Triplet
    from jsnn.rules import WeightDependentSTDP as WeightDependentSTDP
    from jsnn.runs.load import load as load
    from jsnn.runs.load import trial as trial
    from jsnn.surrogates import ArcTan as ArcTan
    from jsnn.surrogates import FastSigmoid as FastSigmoid
    from jsnn.surrogates import Rectangular as Rectangular
    from jsnn.surrogates import Triangular as Triangular
    from jsnn.synapses import Conductance as Conductance
    from jsnn.synapses import Delta as Delta

_WHERE = {  # each module, and the names that jsnn has from it
    "jsnn": ("data", "plots"),
    "jsnn.api": ("infer", "learn", "simulate", "simulate_neuron"),
    "jsnn.core.errors": ("InputError",),
    "jsnn.core.pytree": ("Node", "node", "static"),
    "jsnn.core.trace": ("Trace",),
    "jsnn.encoders": ("Bernoulli", "Direct", "Poisson", "RankOrder"),
    "jsnn.engines.record": ("Record",),
    "jsnn.engines.stimulus": ("Inputs",),
    "jsnn.homeostasis.adaptive_threshold": ("AdaptiveThreshold",),
    "jsnn.homeostasis.synaptic_scaling": ("SynapticScaling",),
    "jsnn.inhibition": ("DirectInhibition", "InhibitoryLayer"),
    "jsnn.learners.plasticity.fit": ("Result", "fit"),
    "jsnn.networks.competitive": ("CompetitiveNetwork", "Learned"),
    "jsnn.networks.feedforward": ("Feedforward",),
    "jsnn.neurons": ("EulerLIF", "IF", "LIF", "SRM0"),
    "jsnn.rules": ("STDP", "Exponential", "Hebbian", "PowerLaw", "PreAndPost", "Triplet", "WeightDependentSTDP"),
    "jsnn.runs.load": ("load", "trial"),
    "jsnn.surrogates": ("ArcTan", "FastSigmoid", "Rectangular", "Triangular"),
    "jsnn.synapses": ("Conductance", "Delta"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and keep it."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'jsnn' has no attribute {name!r}")
    module = _MODULE_OF[name]
    if module == "jsnn":
        return importlib.import_module(f"jsnn.{name}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_MODULE_OF, "__version__"])
