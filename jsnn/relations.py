"""What no single field of a trial can say: relations between its numbers, and parts that need each other."""

from jsnn.errors import InputError
from jsnn.inhibition import InhibitoryLayer
from jsnn.network import Network
from jsnn.neurons import EulerLIF
from jsnn.synapses import Conductance
from jsnn.trial import Inputs, Trial


def check(trial: Trial, where: str) -> None:
    """Raises InputError, beginning with `where`, if the numbers of a trial do not go together."""
    network, inputs = trial.network, trial.inputs
    _order(network, where)
    _conductances(network, inputs, where)
    if network.n_winners > network.n_neurons:
        most = f"n_neurons = {network.n_neurons}"
        raise InputError(f"{where}: network.n_winners = {network.n_winners}: it should be at most {most}")
    if inputs.batch_size > 1:
        alone = {"run.again": inputs.again is not None, "network.longest_delay": network.longest_delay > 0}
        if alone["run.again"] or alone["network.longest_delay"] and network.lockstep:
            what = next(name for name, there in alone.items() if there)
            raise InputError(f"{where}: run.batch_size = {inputs.batch_size}: it should be 1 with {what}")


def _order(network: Network, where: str) -> None:
    """Bounds below bounds, resets and floors below thresholds."""
    relations = [("rule", network.rule, "w_min", "w_max", 0.0)]
    neurons = {"neuron": network.neuron, "network.inhibition.neuron": getattr(network.inhibition, "neuron", None)}
    for path, neuron in neurons.items():
        if neuron is not None:
            theta = 0.0 if neuron.adaptation is None else neuron.adaptation.theta_0
            lows = [name for name in ("v_reset", "v_floor") if hasattr(neuron, name)]
            relations += [(path, neuron, low, "v_threshold", theta) for low in lows]
    for path, part, low, high, more in relations:
        a, b = getattr(part, low), getattr(part, high) + more
        if not a < b:
            above = f"{high} + theta_0" if more else high
            raise InputError(f"{where}: {path}.{low} = {a}: it should be less than {above} = {b}")


def _conductances(network: Network, inputs: Inputs, where: str) -> None:
    """Conductances, here or in an inhibitory layer, need the neuron that integrates them and steps they outlast."""
    inhibition = network.inhibition
    layers = {"": (network.neuron, network.synapse)}
    if isinstance(inhibition, InhibitoryLayer):
        layers["inhibition."] = inhibition.neuron, inhibition.synapse
    for path, (neuron, synapse) in layers.items():
        if not isinstance(synapse, Conductance):
            continue
        if not isinstance(neuron, EulerLIF):
            raise InputError(f"{where}: network.{path}synapse: conductances drive the neuron euler_lif and no other")
        for name in ("tau_excitatory", "tau_inhibitory"):
            tau = getattr(synapse, name)
            if not tau > inputs.dt:
                what = f"{where}: network.{path}synapse.{name} = {tau}"
                raise InputError(f"{what}: it should be more than run.dt = {inputs.dt}")
