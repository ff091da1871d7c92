"""Feedforward networks for gradients: weights from flax, neurons from jsnn, unrolled layer by layer.

    spikes_0 = input,    current_l = W_l spikes_(l-1),    spikes_l = neuron(current_l)

Nothing flows back from a layer to one before it, so each layer is computed for all time steps before the next one
begins: the synapses of a layer are one product over time and batch, and only the elementwise neurons are scanned. A
spike reaches the next layer in the same step (as in STBP, Wu et al. 2018), not one step later as in
`jsnn.networks.competitive`.

An architecture is written as papers do, "32C3-AP2-32C3-AP2-128-10": convolutions of 32 channels and 3 x 3 pixels
(zero-padded, stride 1), average pooling of 2 x 2 ("MP2": the maximum), dense layers; the last is the output.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from pydantic import Strict

from jsnn.core.errors import InputError
from jsnn.core.protocols import Neuron, State
from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import Count, Positive, Share
from jsnn.networks import matmul
from jsnn.networks.unroll import Dynamics, unroll
from jsnn.neurons import IF, LIF, NEURONS
from jsnn.readouts import predicted_class
from jsnn.surrogates import ArcTan, Surrogate

SIZE, MOST_PARTS = "[1-9][0-9]{0,8}", 200  # digits of the size of a layer; parts of an architecture
Params = dict[str, Any]  # "synapses" and "neurons": lists with one entry for each layer


class Projection(nn.Module):
    """The synapses of a layer, and the pooling of their inputs."""

    size: int  # neurons, or channels
    kernel: int = 0  # pixels across; 0: dense
    pooling: tuple[tuple[str, int], ...] = ()  # ("AP" or "MP", pixels across), before the weights
    bias: bool = False
    gain: Any = 1.0  # the initial weights have standard deviation gain / sqrt(inputs of a neuron)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Compute the currents of a layer.

        Args:
            x: Inputs, [n, height, width, channels] or [n, inputs].

        Returns:
            Currents, [n, height, width, size] or [n, size].
        """
        x = pooled(x, self.pooling)
        init = nn.initializers.variance_scaling(self.gain**2, "fan_in", "truncated_normal")
        options = {"use_bias": self.bias, "kernel_init": init, "param_dtype": float}
        if self.kernel:
            across = (self.kernel, self.kernel)
            return nn.Conv(self.size, across, conv_general_dilated=matmul.convolution, **options)(x)
        return nn.Dense(self.size, dot_general=matmul.dense, **options)(x.reshape(len(x), -1))


def projections(architecture: str, bias: bool = False, gain: Any = 1.0) -> tuple[Projection, ...]:
    """Parse an architecture.

    Args:
        architecture: Its text, such as "32C3-AP2-128-10".
        bias: Whether the layers have biases.
        gain: Factor of the standard deviation of the initial weights.

    Returns:
        The layers from the first to the output.

    Raises:
        InputError: The text is not an architecture.
    """
    layers, pooling, parts, shown = [], [], architecture.split("-"), repr(shortened(architecture))
    if len(parts) > MOST_PARTS:
        raise InputError(f"{shown}: it has {len(parts)} parts and should have at most {MOST_PARTS}")
    for part in parts:
        match = re.fullmatch(rf"(?:({SIZE})C)?({SIZE})|(AP|MP)({SIZE})", part)
        if match is None:
            raise InputError(f"{shortened(part)!r} in {shown}: it should be a layer like 32C3, AP2, MP2 or 128")
        channels, size, pool, width = match.groups()
        if pool:
            pooling.append((pool, int(width)))
            continue
        if channels and layers and not layers[-1].kernel:
            raise InputError(f"{part!r} in {shown}: a convolution should not follow a dense layer")
        if pooling and layers and not layers[-1].kernel:
            raise InputError(f"{shown}: pooling should not follow a dense layer")
        kernel = int(size) if channels else 0
        layers.append(Projection(int(channels or size), kernel, tuple(pooling), bias, gain))
        pooling = []
    if pooling or layers[-1].kernel:
        raise InputError(f"{shown}: its last layer should be dense, a neuron for each class")
    return tuple(layers)


def shortened(text: str) -> str:
    """Shorten a text of more than 60 characters to its beginning."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def pooled(x: Array, pooling: Sequence[tuple[str, int]]) -> Array:
    """Pool images, one pooling after the other.

    Args:
        x: [n, height, width, channels].
        pooling: Pairs of "AP" (mean) or "MP" (maximum) and the width of a square, pixels.

    Returns:
        The pooled images, [n, height, width, channels].
    """
    for kind, width in pooling:
        pool = nn.avg_pool if kind == "AP" else nn.max_pool
        x = pool(x, (width, width), (width, width))
    return x


def output_shape(layer: Projection, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Compute the shape of a layer from the shape of its inputs.

    Args:
        layer: The layer.
        shape: [height, width, channels] or [inputs].

    Returns:
        [height, width, channels] or [neurons].

    Raises:
        InputError: The layer cannot have such inputs: they have no height and width, fewer pixels than are pooled, or a
            kernel has weights that no pixel reaches.
    """
    width = math.prod(w for _, w in layer.pooling)
    if (layer.kernel or layer.pooling) and len(shape) != 3:
        raise InputError(f"convolutions and pooling see images: [height, width, channels], not {list(shape)}")
    size = " x ".join(map(str, shape[:-1]))
    if min(shape[:-1], default=width) < width:
        raise InputError(f"nothing is left of {size} pixels after pooling {width} x {width}: it should pool less")
    if layer.kernel and layer.kernel > 2 * (max(shape[:-1]) // width) - 1:
        raise InputError(
            f"a kernel of {layer.kernel} x {layer.kernel} has weights that no pixel reaches: it sees {size} pixels"
            + (f", pooled {width} x {width}" if width > 1 else "")
        )
    return (*(n // width for n in shape[:-1]), layer.size) if layer.kernel else (layer.size,)


def fan_out(layer: Projection, shape: tuple[int, ...]) -> np.ndarray:
    """Count the synapses of a layer that each of its inputs reaches.

    Inputs are those before pooling, each with as many synapses as the place it is pooled into. Padding has no synapses.

    Args:
        layer: The layer.
        shape: Shape of its inputs, [height, width, channels] or [inputs].

    Returns:
        float64[height, width, 1] or [1].
    """
    width = math.prod(w for _, w in layer.pooling)
    if len(shape) == 1:
        return np.full(1, float(layer.size))
    across = []
    for n in shape[:2]:
        places = n // width
        n_synapses = np.ones(places)
        if layer.kernel:  # input i reaches the outputs o with 0 <= i - o + before < kernel
            offset = np.arange(places)[:, None] - np.arange(places) + (layer.kernel - 1) // 2
            n_synapses = np.sum((offset >= 0) & (offset < layer.kernel), axis=1)
        across.append(np.pad(np.repeat(n_synapses, width), (0, n - places * width)))
    return layer.size * np.einsum("i,j->ij", *across)[..., None]


def synaptic_operations(layer: Projection, x: Array, analog: bool = False) -> Array:
    """Count the synaptic operations that inputs cause in a layer: the synapses reached by what is not 0.

    Analog inputs are pooled first. Of spikes, those in one mean are one addition each; a maximum is one spike.

    Args:
        layer: The layer.
        x: Inputs, [n, ...].
        analog: Whether the inputs are numbers instead of spikes.

    Returns:
        Operations of each input, float32[n].
    """
    kinds = [kind for kind, _ in layer.pooling]
    first = len(kinds) if analog else max((i for i, kind in enumerate(kinds, 1) if kind == "MP"), default=0)
    x = pooled(x, layer.pooling[:first])
    n = fan_out(dataclasses.replace(layer, pooling=layer.pooling[first:]), x.shape[1:])
    return jnp.sum(jnp.where(x != 0, n, 0.0), axis=tuple(range(1, x.ndim)))


@node
class Response:
    """The response of a network to a batch."""

    output: Array  # [n_steps, batch, n_classes]: spikes, or potentials (mV) of neurons that do not fire
    arrived: Array | None = None  # bool[n_steps, batch]: whether anything but a bias reached the output in a step
    finite: Array | None = None  # bool[batch]: whether all potentials and activations are finite
    spikes: tuple[Array, ...] = ()  # [batch] for each layer that fires: number of spikes in all steps
    operations: tuple[Array, ...] = ()  # [batch] for each layer: number of synaptic operations

    def predictions(self) -> Array:
        """Predict the classes after each step from the sums of the outputs so far.

        Returns:
            int32[n_steps, batch], the class of the largest sum, of several equal ones the first. -1, no prediction,
                where
            nothing has arrived at the output yet, whatever its bias; where all sums are equal, as those of silent
                neurons
            are; and where one is NaN.
        """
        predicted = predicted_class(jnp.cumsum(self.output, axis=0))
        return predicted if self.arrived is None else jnp.where(jnp.cumsum(self.arrived, axis=0) > 0, predicted, -1)

    def prediction(self) -> Array:
        """Predict the classes after the last step, int32[batch]; see `predictions`."""
        predicted = predicted_class(jnp.sum(self.output, axis=0))
        return predicted if self.arrived is None else jnp.where(jnp.any(self.arrived, axis=0), predicted, -1)


@node
class LabelledBatch:
    """A batch to learn from, with its labels and duration."""

    x: Array  # [n_steps or 1, batch, *input_shape], as in `Feedforward.respond`
    labels: Array  # int32[batch]
    n_steps: Count = static()
    dt: Array | float  # ms
    key: Array | None = None  # random key for dropout; None: no dropout


@node
class BatchMetrics:
    """Loss, accuracy and spike rates of one batch during training."""

    loss: Array
    accuracy: Array
    rates: tuple[Array, ...]  # mean spikes in a presentation, for each layer that fires

    @classmethod
    def of(cls, loss: Array, response: Response, labels: Array) -> "BatchMetrics":
        """Compute the metrics of a response.

        Args:
            loss: The loss of the batch.
            response: The network's response.
            labels: Classes of the inputs, int32[batch].

        Returns:
            The metrics.
        """
        right = response.prediction() == labels
        return cls(loss=loss, accuracy=jnp.mean(right), rates=tuple(jnp.mean(s) for s in response.spikes))


@node
class ReLU(Node):
    """Rectified linear units in the place of neurons: no time and no spikes, which makes the network an ANN."""


@node
class Feedforward(Node):
    """Feedforward network of one kind of neuron, or of rectified linear units.

    `readout`: "rate", the output neurons fire as all others do; "membrane", they integrate and never fire.

    `learn`: fields of the neuron that training changes too, separately for each layer (positive numbers, of which the
    logarithm is trained).

    `detach_reset`: no gradient through the reset.

    `dropout`: share of the inputs of dense layers but the first that is left out, the same in all steps of a
    presentation.

    `chunk`: number of steps after which only the states are stored for the backward pass, everything between is
    computed again; None: everything is stored. Memory falls from n_steps to n_steps / chunk + chunk.
    """

    architecture: str = static(default="800-10")
    input_shape: Annotated[tuple[int, ...], Strict(False)] = static(default=(28, 28, 1))
    neuron: Neuron | ReLU = NEURONS["unit_lif"]
    surrogate: Surrogate = ArcTan()
    readout: Literal["rate", "membrane"] = static(default="rate")
    bias: bool = static(default=False)
    gain: Positive = 1.0
    learn: Annotated[tuple[str, ...], Strict(False)] = static(default=())
    detach_reset: bool = static(default=False)
    dropout: Share | None = None
    chunk: Count | None = static(default=None)

    @property
    def layers(self) -> tuple[Projection, ...]:
        """The layers from the first to the output."""
        return projections(self.architecture, self.bias, self.gain)

    @property
    def n_input(self) -> int:
        """Number of inputs: pixels times channels."""
        return math.prod(self.input_shape)

    @property
    def n_neurons(self) -> int:
        """Number of neurons of all layers."""
        return sum(map(math.prod, self.shapes[1:]))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the input and of each layer: [height, width, channels] or [neurons]."""
        shapes = [self.input_shape]
        for layer in projections(self.architecture):  # without the gain, which may be an array of many runs
            shapes.append(output_shape(layer, shapes[-1]))
        return shapes

    def init(self, key: Array) -> Params:
        """Create random weights, and for each layer the fields of its neurons that `learn` names.

        Args:
            key: Random key.

        Returns:
            The parameters: lists "synapses" and "neurons" with one entry for each layer.
        """
        synapses = [
            layer.init(jax.random.fold_in(key, i), jnp.zeros((1, *shape)))["params"]
            for i, (layer, shape) in enumerate(zip(self.layers, self.shapes, strict=False))
        ]
        trained = {name: jnp.log(jnp.asarray(getattr(self.neuron, name), float)) for name in self.learn}
        return {"synapses": synapses, "neurons": [trained] * len(synapses)}

    def neurons(self, params: Params) -> list[IF | LIF]:
        """Create the neurons of each layer, with their trained fields."""
        neuron = cast(Any, self.neuron)
        return [dataclasses.replace(neuron, **jax.tree.map(jnp.exp, trained)) for trained in params["neurons"]]

    def respond(
        self,
        params: Params,
        x: Array,
        n_steps: int,
        dt: Array | float,
        key: Array | None = None,
        analog: bool = False,
    ) -> Response:
        """Compute the response to a batch, in training and at inference.

        Args:
            params: Parameters from `init`.
            x: Inputs, [n_steps, batch, *input_shape], or [1, batch, *input_shape] for the same in every step.
            n_steps: Number of time steps.
            dt: Time step, ms.
            key: Random key for dropout, in training; None: no dropout.
            analog: Whether `x` is numbers instead of spikes, for the count of operations.

        Returns:
            The response.
        """
        layers = self.layers
        if isinstance(self.neuron, ReLU):
            layer_outputs = self.activations(params, x[0], key)
            operations = tuple(
                synaptic_operations(layer, y, True) for layer, y in zip(layers, [x[0], *layer_outputs], strict=False)
            )
            inputs = [x[0], *layer_outputs][-2].reshape(len(x[0]), -1)
            arrived = jnp.any(inputs != 0, axis=1)[None]
            return Response(
                output=layer_outputs[-1][None], arrived=arrived, finite=_finite(layer_outputs), operations=operations
            )
        neurons, batch = self.neurons(params), x.shape[1]
        states = [n.init((batch, *shape)) for n, shape in zip(neurons, self.shapes[1:], strict=True)]
        n, constant = self.chunk or n_steps, len(x) == 1
        first = (
            self.project(params, 0, x[0], key, batch) if constant else None
        )  # currents that are the same in every step
        xs, constant_x = None if constant else x.reshape(-1, n * batch, *x.shape[2:]), x

        def steps(states: Sequence[State], x: Array | None) -> tuple[list[State], Response]:
            ends, spikes, operations, arrived = [], [], [], jnp.zeros((n, batch), bool)
            for i, (neuron, state) in enumerate(zip(neurons, states, strict=True)):
                if x is None:
                    current, n_operations = (
                        cast(Array, first)[None],
                        n * synaptic_operations(layers[0], constant_x[0], analog),
                    )
                else:
                    current = self.project(params, i, x, key, batch)
                    current = current.reshape(n, batch, *current.shape[1:])
                    n_operations = jnp.sum(
                        synaptic_operations(layers[i], x, analog and i == 0).reshape(n, batch), axis=0
                    )
                operations.append(n_operations)
                if i == len(neurons) - 1:
                    inputs = constant_x if x is None else x.reshape(n, batch, -1)
                    arrived = jnp.broadcast_to(
                        jnp.any(inputs.reshape(len(inputs), batch, -1) != 0, axis=-1), (n, batch)
                    )
                fires = i < len(neurons) - 1 or self.readout == "rate"
                dynamics = Dynamics(
                    neuron=neuron, surrogate=self.surrogate, dt=dt, fires=fires, detach_reset=self.detach_reset
                )
                state, out = unroll(dynamics, state, current, n)
                ends.append(state)
                if fires:
                    spikes.append(jnp.sum(out, axis=(0, *range(2, out.ndim))))
                x = out.reshape(n * batch, *out.shape[2:])
            counted = {"spikes": tuple(spikes), "operations": tuple(operations)}
            finite = _finite([end.v for end in ends])
            return ends, Response(output=cast(Array, x), arrived=arrived, finite=finite, **counted)

        if n == n_steps:
            _, response = steps(states, None if xs is None else xs[0])
            return dataclasses.replace(response, output=response.output.reshape(n_steps, batch, -1))
        _, parts = jax.lax.scan(jax.checkpoint(steps, prevent_cse=False), states, xs, length=n_steps // n)
        output = parts.output.reshape(n_steps, batch, -1)
        spikes, operations = (tuple(jnp.sum(x, axis=0) for x in xs) for xs in (parts.spikes, parts.operations))
        arrived, finite = parts.arrived.reshape(n_steps, batch), jnp.all(parts.finite, axis=0)
        return Response(output=output, arrived=arrived, finite=finite, spikes=spikes, operations=operations)

    def activations(self, params: Params, x: Array, key: Array | None = None) -> list[Array]:
        """Compute the activations of an ANN.

        Args:
            params: Parameters from `init`.
            x: Inputs, [batch, *input_shape].
            key: Random key for dropout; None: no dropout.

        Returns:
            Activations of each layer, [batch, ...]; the last are the logits, [batch, n_classes].
        """
        layer_outputs = []
        for i in range(len(self.layers)):
            x = self.project(params, i, x, key, len(x))
            x = nn.relu(x) if i < len(self.layers) - 1 else x
            layer_outputs.append(x)
        return layer_outputs

    def project(self, params: Params, i: int, x: Array, key: Array | None = None, batch: int = 1) -> Array:
        """Compute the currents of one layer from its inputs.

        Args:
            params: Parameters from `init`.
            i: Index of the layer.
            x: Inputs of the layer, [n, ...].
            key: Random key for dropout; None: no dropout.
            batch: Size of the batch; each run of so many inputs has the same dropout.

        Returns:
            Currents, [n, ...].
        """
        layer = self.layers[i]
        if key is not None and self.dropout is not None and i > 0 and not layer.kernel:
            mask = jax.random.bernoulli(jax.random.fold_in(key, i), 1.0 - self.dropout, (batch, *x.shape[1:]))
            mask = jnp.tile(mask, (len(x) // batch, *[1] * (x.ndim - 1)))
            x = jnp.where(mask, x / (1.0 - self.dropout), 0.0)
        return cast(Array, layer.apply({"params": params["synapses"][i]}, x))


def _finite(parts: Sequence[Array]) -> Array:
    """Find out whether all numbers of each presentation are finite: bool[batch] of arrays [batch, ...]."""
    each = [jnp.all(jnp.isfinite(x.reshape(len(x), -1)), axis=1) for x in parts]
    return jnp.all(jnp.stack(each), axis=0)
