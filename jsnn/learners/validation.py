"""What no single field of a trial that learns by gradients can say: relations between its numbers, parts that need each
other.
"""

from typing import Any, cast

from jsnn.core.errors import InputError
from jsnn.encoders import Direct, Recording
from jsnn.engines.stimulus import Inputs
from jsnn.grid.groups import Trial
from jsnn.learners.updates import is_analog
from jsnn.networks.feedforward import Feedforward, ReLU
from jsnn.neurons import IF, LIF, NEURONS


def check(trial: Trial, where: str) -> None:
    """Raises InputError, beginning with `where`, if the numbers of a trial that learns by gradients do not fit."""
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
    for name in network.learn:
        value = getattr(neuron, name, None)
        if not isinstance(value, float) or not value > 0 or name in ("refractory", "v_floor"):
            what = "it should be a positive number of the neuron that has a gradient"
            raise InputError(f"{where}: network.learn names {name!r}: {what}")
    if len(set(network.learn)) < len(network.learn):
        raise InputError(f"{where}: network.learn = {list(network.learn)}: it should name each once")


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
        _ = network.shapes
    except InputError as error:
        raise InputError(f"{where}: network.architecture: {error}") from None
    if chunk is not None and inputs.n_steps % chunk:
        raise InputError(f"{where}: network.chunk = {chunk}: it should divide run.n_steps = {inputs.n_steps}")


def check_unread(trial: Trial, where: str) -> None:
    """Refuses settings that this trial would not read."""
    network, default, neuron = trial.network, Feedforward(), trial.network.neuron
    ann = isinstance(trial.learner.as_trained(trial).network.neuron, ReLU)
    what = "an ANN, which has no spikes, is trained"
    silent, nothing = not ann and len(network.layers) == 1 and network.readout == "membrane", "no neuron fires"
    unread = {
        "network.surrogate": ((ann or silent) and network.surrogate != default.surrogate, what if ann else nothing),
        "network.detach_reset": (
            network.detach_reset and (ann or silent or trial.learner.detaches_reset),
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
