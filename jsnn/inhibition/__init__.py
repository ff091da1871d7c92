"""Inhibitions: one model a file; the registry below is what configs, contract tests and documentation read."""

from jsnn.inhibition.direct import DirectInhibition
from jsnn.inhibition.layer import InhibitoryLayer
from jsnn.types import Inhibition

INHIBITIONS: dict[str, Inhibition] = {
    "direct": DirectInhibition(),
    "inhibitory_layer": InhibitoryLayer(),
}
