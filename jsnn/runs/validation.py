"""What no single field of a trial can say: relations between its numbers, and parts that need each other."""

from typing import Any, cast

from jsnn.core.errors import InputError
from jsnn.encoders import Bernoulli, BindsnetBernoulli, BindsnetPoisson, BindsnetRankOrder, Direct, RankOrder, Recording
from jsnn.engines.stimulus import Inputs
from jsnn.inhibition import InhibitoryLayer
from jsnn.learners import Conversion, EProp
from jsnn.learners.plasticity.trial import Trial
from jsnn.learners.updates import GradientTrial, is_analog
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.networks.feedforward import Feedforward, ReLU
from jsnn.neurons import IF, LIF, NEURONS, SRM0, EulerLIF
from jsnn.readouts import N_CLASSES
from jsnn.synapses import Conductance


def check(trial: Trial | GradientTrial, where: str) -> None:
    """Raises InputError, beginning with `where`, if the numbers of a trial do not go together."""
    if isinstance(trial, GradientTrial):
        _by_gradients(trial, where)
        return
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


def _by_gradients(trial: GradientTrial, where: str) -> None:
    """What a network of layers can be, and can be shown."""
    network, inputs, neuron = trial.network, trial.inputs, cast(Any, trial.network.neuron)
    _layers(network, inputs, where)
    if inputs.rest or inputs.again is not None:
        what = "run.rest" if inputs.rest else "run.again"
        raise InputError(f"{where}: {what}: it is for local plasticity; a network trained by gradients has none")
    if isinstance(neuron, ReLU):
        once = inputs.n_steps == 1 or isinstance(inputs.encoder, Recording)
        if not is_analog(inputs.encoder) or not once:
            raise InputError(f'{where}: rectified linear units see pixels, once: encoder = "direct", run.n_steps = 1')
        if network.readout == "rate":
            raise InputError(f'{where}: network.readout = "rate": rectified linear units have no spikes: "membrane"')
    else:
        if not isinstance(neuron, IF | LIF) or neuron.adaptation is not None:
            raise InputError(f"{where}: gradients are for the neurons if and lif, without adaptation")
        for name in ("v_reset", "v_floor", "v_init"):
            value = getattr(neuron, name, None)
            if value is not None and not value < neuron.v_threshold:
                most = f"it should be less than v_threshold = {neuron.v_threshold}"
                raise InputError(f"{where}: neuron.{name} = {value}: {most}")
    if isinstance(trial.rule, EProp):
        _by_eprop(trial.rule, network, where)
    if isinstance(trial.rule, Conversion):
        _by_conversion(network, inputs, where)
    for name in network.learn:
        value = getattr(neuron, name, None)
        if not isinstance(value, float) or not value > 0 or name in ("refractory", "v_floor"):
            what = "it should be a positive number of the neuron that has a gradient"
            raise InputError(f"{where}: network.learn names {name!r}: {what}")
    if len(set(network.learn)) < len(network.learn):
        raise InputError(f"{where}: network.learn = {list(network.learn)}: it should name each once")
    _unread_by_gradients(trial, where)


def is_timeless(neuron: Any) -> bool:
    """Whether nothing of it depends on what a step is in ms."""
    return not isinstance(neuron, LIF) and not getattr(neuron, "refractory", None)


def _layers(network: Feedforward, inputs: Inputs, where: str) -> None:
    """An architecture and the inputs it can see."""
    shape, chunk = network.input_shape, network.chunk
    if len(shape) not in (1, 3) or min(shape, default=0) < 1:
        raise InputError(
            f"{where}: network.input_shape = {list(shape)}: it should be [height, width, channels], or [inputs]"
        )
    if len(shape) == 1 and (inputs.augmentation is not None or isinstance(inputs.encoder, Recording)):
        what = "augmentation" if inputs.augmentation is not None else "recordings"
        raise InputError(f"{where}: network.input_shape = {list(shape)}: {what} need [height, width, channels]")
    try:
        n = network.shapes[-1][0]
    except InputError as error:
        raise InputError(f"{where}: network.architecture: {error}") from None
    if n != N_CLASSES:
        raise InputError(f"{where}: network.architecture ends with {n}: it should be {N_CLASSES} classes")
    if chunk is not None and inputs.n_steps % chunk:
        raise InputError(f"{where}: network.chunk = {chunk}: it should divide run.n_steps = {inputs.n_steps}")


def _unread_by_gradients(trial: GradientTrial, where: str) -> None:
    """Refuses settings that this trial would not read."""
    network, rule, default, neuron = trial.network, trial.rule, Feedforward(), trial.network.neuron
    ann = isinstance(neuron, ReLU) or isinstance(rule, Conversion)
    what = "an ANN, which has no spikes, is trained"
    silent, nothing = not ann and len(network.layers) == 1 and network.readout == "membrane", "no neuron fires"
    unread = {
        "network.surrogate": ((ann or silent) and network.surrogate != default.surrogate, what if ann else nothing),
        "network.detach_reset": (
            network.detach_reset and (ann or silent or isinstance(rule, EProp)),
            "no gradient is in resets",
        ),
        "network.chunk": (network.chunk is not None and isinstance(neuron, ReLU), what),
        "network.dropout": (
            network.dropout is not None and all(layer.kernel for layer in network.layers[1:]),
            "it is of what dense layers but the first see",
        ),
        "run.dt": (
            trial.inputs.dt != 1.0 and isinstance(trial.inputs.encoder, Direct) and is_timeless(neuron),
            "nothing here is in ms",
        ),
        "rule.feedback_seed": (
            isinstance(rule, EProp) and rule.feedback == "symmetric" and rule.feedback_seed != 0,
            "symmetric feedback draws nothing",
        ),
    }
    if silent:
        usual = [n for n in NEURONS.values() if type(n) is type(neuron)]
        for name in ("v_threshold", "v_reset", "refractory", "reset"):
            if name == "v_reset" and isinstance(neuron, IF) and neuron.v_init is None:
                continue  # it begins there
            other = all(getattr(neuron, name) != getattr(n, name) for n in usual)
            unread[f"neuron.{name}"] = other, nothing
            unread[f"network.learn = {name!r}"] = name in network.learn, nothing
    for name, (there, why) in unread.items():
        if there:
            raise InputError(f"{where}: {name} has no effect: {why}; leave it out")


def _by_eprop(rule: EProp, network: Feedforward, where: str) -> None:
    """What e-prop is for."""
    if isinstance(network.neuron, ReLU) or network.readout != "membrane":
        raise InputError(f'{where}: e-prop is for spiking neurons and network.readout = "membrane"')
    if any(layer.kernel or layer.pooling for layer in network.layers):
        raise InputError(f"{where}: network.architecture = {network.architecture!r}: e-prop is for dense layers")
    if len(network.layers) < 2:
        raise InputError(f"{where}: network.architecture = {network.architecture!r}: e-prop is for hidden layers")
    if rule.feedback == "symmetric" and len(network.layers) != 2:
        raise InputError(f'{where}: rule.feedback = "symmetric": it is for one hidden layer; take "random"')
    for name, there in {"learn": network.learn, "dropout": network.dropout, "chunk": network.chunk}.items():
        if there is not None and there != ():
            raise InputError(f"{where}: network.{name}: e-prop has none")


def _by_conversion(network: Feedforward, inputs: Inputs, where: str) -> None:
    """Of an ANN's units into neurons with the same rates."""
    neuron, encoder = network.neuron, inputs.encoder
    if not isinstance(neuron, IF) or neuron.reset != "soft" or network.readout != "membrane":
        raise InputError(f'{where}: conversion is for the neuron if, neuron.reset = "soft", readout = "membrane"')
    if neuron.refractory:
        what = f"neuron.refractory = {neuron.refractory}"
        raise InputError(f'{where}: {what}: conversion is for neurons without it, which would lower rates: "none"')
    if neuron.v_floor > float("-inf"):
        what = f"neuron.v_floor = {neuron.v_floor}"
        raise InputError(f"{where}: {what}: conversion is for neurons without it, which would raise rates: -inf")
    if neuron.v_init is not None and not neuron.v_init >= neuron.v_reset:
        half = (neuron.v_reset + neuron.v_threshold) / 2
        what = f"neuron.v_init = {neuron.v_init}"
        raise InputError(f"{where}: {what}: it should be from v_reset to v_threshold; halfway is {half:g}")
    if isinstance(encoder, RankOrder | BindsnetRankOrder):
        raise InputError(f'{where}: the rates of the inputs should be those of pixels: encoder = "direct", "poisson"')
    if network.bias and not isinstance(encoder, Direct | Recording):
        raise InputError(f'{where}: network.bias: it fits an ANN that saw pixels; with it, encoder = "direct"')
    if network.learn:
        raise InputError(f"{where}: network.learn: an ANN has no neurons that could learn")
    shape = f"network.architecture = {network.architecture!r}"
    if len(network.layers) < 2:
        raise InputError(f"{where}: {shape}: conversion is for hidden layers, whose units become neurons")
    spikes = network.layers[1:] if is_analog(encoder) else network.layers
    if any(kind == "MP" for layer in spikes for kind, _ in layer.pooling):
        raise InputError(f"{where}: {shape}: the maximum of spikes is not that of their rates: AP in the place of MP")


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
