"""What no single field of a trial of local plasticity can say: relations between its numbers, parts that need each
other.
"""

from jsnn.core.errors import InputError
from jsnn.encoders import Bernoulli, BindsnetBernoulli, BindsnetPoisson, BindsnetRankOrder, Direct, RankOrder, Recording
from jsnn.engines.stimulus import Inputs
from jsnn.grid.groups import Trial
from jsnn.inhibition import InhibitoryLayer
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.networks.feedforward import ReLU
from jsnn.neurons import SRM0, EulerLIF
from jsnn.synapses import Conductance


def check(trial: Trial, where: str) -> None:
    """Raises InputError, beginning with `where`, if the numbers of a trial do not go together."""
    network, inputs = trial.network, trial.inputs
    if (
        isinstance(inputs.encoder, Direct | Recording)
        or isinstance(network.neuron, ReLU)
        or inputs.augmentation is not None
    ):
        what = "direct input, rectified linear units and augmentation"
        raise InputError(f"{where}: {what} are for networks trained by gradients: rule should be bptt")
    _inhibitory_neurons(network, where)
    _order(network, where)
    _euler(network, inputs, where)
    _conductances(network, inputs, where)
    _without_effect(network, where)
    _brighter(inputs, where)
    if network.n_winners > network.n_neurons:
        most = f"n_neurons = {network.n_neurons}"
        raise InputError(f"{where}: network.n_winners = {network.n_winners}: it should be at most {most}")
    if inputs.batch_size > 1:
        alone = {"run.again": inputs.again is not None, "network.longest_delay": network.longest_delay > 0}
        if alone["run.again"] or alone["network.longest_delay"] and network.lockstep:
            what = next(name for name, there in alone.items() if there)
            raise InputError(f"{where}: run.batch_size = {inputs.batch_size}: it should be 1 with {what}")


def _order(network: CompetitiveNetwork, where: str) -> None:
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
    if not network.rule.w_min <= network.w_init <= network.rule.w_max:
        bounds = f"rule.w_min = {network.rule.w_min} to rule.w_max = {network.rule.w_max}"
        raise InputError(f"{where}: network.w_init = {network.w_init}: it should be from {bounds}")


def _inhibitory_neurons(network: CompetitiveNetwork, where: str) -> None:
    """What an inhibitory layer computes: neurons with a fixed threshold, of which nothing is random."""
    inhibition = network.inhibition
    if not isinstance(inhibition, InhibitoryLayer):
        return
    what = f"{where}: network.inhibition.neuron"
    if isinstance(inhibition.neuron, ReLU | SRM0):
        name = type(inhibition.neuron).__name__
        raise InputError(f"{what} is {name}: inhibitory neurons spike and have no noise: if, lif, euler_lif")
    if inhibition.neuron.adaptation is not None:
        raise InputError(f'{what}.adaptation: it should be "none": inhibitory neurons have fixed thresholds')


def _euler(network: CompetitiveNetwork, inputs: Inputs, where: str) -> None:
    """Membranes that are integrated by the Euler method need steps that are shorter than their time constants."""
    neurons = {"neuron": network.neuron, "network.inhibition.neuron": getattr(network.inhibition, "neuron", None)}
    for path, neuron in neurons.items():
        if isinstance(neuron, EulerLIF) and not neuron.tau_m > inputs.dt:
            raise InputError(f"{where}: {path}.tau_m = {neuron.tau_m}: it should be more than run.dt = {inputs.dt}")


def _without_effect(network: CompetitiveNetwork, where: str) -> None:
    """Numbers that nothing would read: they are refused where they differ from what they are by default."""
    inhibition, neuron = network.inhibition, network.neuron
    lost = {
        "n_winners": (network.n_winners > 1 and network.tie_break == "none", 'tie_break = "none": all fire'),
        "ghosts": (network.ghosts and network.tie_break == "none", 'tie_break = "none": nobody loses'),
        "norm_order": (network.norm_order != 1 and network.norm is None, 'norm = "none"'),
        "norm_at_start": (not network.norm_at_start and network.norm is None, 'norm = "none"'),
        "neuron.fires_in_refractory": (
            isinstance(neuron, SRM0) and neuron.fires_in_refractory and neuron.refractory is None,
            'neuron.refractory = "none"',
        ),
    }
    if isinstance(inhibition, InhibitoryLayer):
        why, layer = "inhibitory neurons, which nothing inhibits", inhibition.neuron
        floor = getattr(layer, "v_floor", None)
        potentials = [getattr(layer, name, None) for name in ("v_rest", "v_init", "v_reset")]
        lowest = min(v for v in potentials if v is not None)
        floored = floor is not None and floor != getattr(type(layer), "v_floor", floor) and floor <= lowest
        lost["inhibition.neuron.v_floor"] = floored, why
        if isinstance(inhibition.synapse, Conductance):
            for name in ("tau_inhibitory", "e_inhibitory"):
                other = getattr(inhibition.synapse, name) != getattr(Conductance, name)
                lost[f"inhibition.synapse.{name}"] = other, why
    for name, (without, why) in lost.items():
        if without:
            path = name if name.startswith("neuron.") else f"network.{name}"
            raise InputError(f"{where}: {path} has no effect with {why}; leave it out")


def _brighter(inputs: Inputs, where: str) -> None:
    """Images that are shown again, brighter, need an encoder that makes more of a brighter image."""
    encoder, alike = inputs.encoder, RankOrder | BindsnetRankOrder | BindsnetBernoulli | BindsnetPoisson
    if inputs.again is None:
        return
    name = type(encoder).__name__
    if isinstance(encoder, alike):
        reason = "its pixels end at 255" if isinstance(encoder, BindsnetPoisson) else "it sees no brightness"
        raise InputError(f"{where}: run.again: {name} makes no more spikes of a brighter image: {reason}")
    if isinstance(encoder, Bernoulli) and encoder.max_probability == 1.0:
        raise InputError(
            f"{where}: run.again: encoder.max_probability = 1.0: it should be less, as a white pixel fires in every "
            "step already"
        )


def _conductances(network: CompetitiveNetwork, inputs: Inputs, where: str) -> None:
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
