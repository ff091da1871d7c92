"""The functions that one calls first: a neuron alone, a network and one image, a network and many.

All of them are pure: they can be jitted, and mapped over any number in a network, a state or the inputs, and over keys.
What is random comes from the key alone, so that the same key gives the same spikes.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from jsnn.core import numerics
from jsnn.core.errors import InputError
from jsnn.core.protocols import CurrentDriven, Neuron
from jsnn.engines import dense, record
from jsnn.engines.batch import Batch
from jsnn.engines.dense import Dense
from jsnn.engines.record import Record
from jsnn.engines.stimulus import Inputs, present_until_response, spikes_of
from jsnn.networks.competitive import CompetitiveNetwork, Learned

STEPS = 200  # of a neuron alone, if nothing else is said
CHUNK = 64  # images that an accelerator shows a frozen network at once


def simulate_neuron(
    neuron: Neuron,
    current: ArrayLike,
    dt: ArrayLike = 1.0,
    n_steps: int | None = None,
    key: Array | None = None,
) -> tuple[Array, Array]:
    """One neuron under a given current.

    The current is R * I, the depolarisation in mV at which the membrane would settle if it never fired; so a smaller
    `dt` refines the answer and leaves the drive as it is. A neuron without leak (IF) never settles: for it the current
    is in mV per ms. An adaptive threshold starts at its `theta_0`, grows with each spike and decays all the time.

    Args:
        neuron: A neuron, such as `jsnn.LIF()`.
        current: mV (IF: mV per ms). A number, or one for each step: [n_steps].
        dt: ms, of a step.
        n_steps: How many steps; by default as many as `current` has, or 200 for a number.
        key: For a neuron that draws random numbers (SRM0).

    Returns:
        v: mV, [n_steps]. The potential at the end of each step, before a spike resets it: step k ends at (k + 1) * dt.
        spikes: bool[n_steps].

    Raises:
        InputError: A current of another shape, or no key for a neuron that needs one.

    Example:
        >>> v, spikes = jsnn.simulate_neuron(jsnn.LIF(), current=20.0, dt=0.1, n_steps=3000)
    """
    current = jnp.asarray(current, float)
    steps = n_steps or (current.shape[0] if current.ndim else STEPS)
    if current.ndim > 1 or current.ndim == 1 and current.shape[0] != steps:
        raise InputError(f"current is {_shape(current)}: it should be a number, or [n_steps] with n_steps = {steps}")
    if not isinstance(neuron, CurrentDriven):
        raise InputError(
            f"{type(neuron).__name__} has no drive(current, dt): it should say what a step of a current is"
        )
    noisy = jax.tree.leaves(jax.eval_shape(lambda: neuron.noise(numerics.key(0), (1,))))
    if noisy and key is None:
        raise InputError(f"{type(neuron).__name__} draws random numbers: give a key, such as key=jax.random.key(0)")
    key = numerics.key(0) if key is None else key
    return jax.jit(_simulate_neuron, static_argnums=4)(neuron, current, jnp.asarray(dt, float), key, steps)


def _simulate_neuron(neuron: Neuron, current: Array, dt: Array, key: Array, n_steps: int) -> tuple[Array, Array]:
    assert isinstance(neuron, CurrentDriven)
    drive, adaptation = neuron.drive(current, dt), neuron.adaptation
    theta = jnp.zeros(1) if adaptation is None else adaptation.init(1)

    def step(carry: Any, inputs: tuple[Array, Array]):
        state, theta = carry
        current, key = inputs
        if adaptation is not None:  # one of the two moves it, whatever it counts
            theta = adaptation.decay_step(adaptation.decay_presentations(theta, jnp.ones(()), dt), dt)
        state, excess = neuron.integrate(state, current[None], theta, dt, neuron.noise(key, (1,)))
        v, spikes = state.v, excess >= 0
        if adaptation is not None:
            theta = theta + adaptation.theta_plus * spikes
        return (neuron.fire(state, spikes), theta), (v[0], spikes[0])

    inputs = jnp.broadcast_to(drive, (n_steps,)), jax.random.split(key, n_steps)
    return jax.lax.scan(step, (neuron.init((1,)), theta), inputs)[1]


def simulate(
    network: CompetitiveNetwork,
    state: Learned,
    inputs: Inputs,
    image: ArrayLike,
    *,
    key: Array,
    learn: bool = False,
    n_seen: ArrayLike = 0,
) -> tuple[Learned, Record]:
    """Present one image to a network and record what happens in every step.

    A batch of images is presented as `inputs.batch_size` images are in training: where it learns, all presentations
    change the weights together in every step. Where it does not, image b of a batch is presented as it would be alone
    with the key `jax.random.fold_in(key, b)`.

    Args:
        network: The network, with its settings as they are: `network.for_inference()` has those of inference.
        state: What it has learned so far: `network.init(key)`, or of `learn` or `fit`.
        inputs: Encoder, number of steps and time step. An image is shown once, whatever `inputs.again` says.
        image: uint8 from 0 to 255, or floats from 0 to 1; [n_input], or any shape with so many pixels. A batch has an
            axis in front.
        key: For all that is random: `jax.random.key(0)`.
        learn: Whether weights and thresholds change.
        n_seen: How many presentations came before, for a `scaling` that slows down with them.

    Returns:
        state: As it was, or after learning.
        record: Spikes, potentials and thresholds, [n_steps + rest, ...]; for a batch [batch, n_steps + rest, ...].

    Raises:
        InputError: An image of another type, shape or range, or a state of another network.
    """
    _check(network, state, inputs)
    pixels, batched = _pixels(image, network.n_input)
    if learn and len(pixels) > 1 and (not network.lockstep or network.longest_delay):
        what = "longest_delay" if network.longest_delay else "lockstep = False"
        raise InputError(f"a batch of {len(pixels)} images, network.{what}: each learns on its own; simulate one image")
    return jax.jit(_simulate, static_argnums=(6, 7))(network, state, inputs, pixels, key, n_seen, learn, batched)


def _simulate(
    network: CompetitiveNetwork,
    state: Learned,
    inputs: Inputs,
    pixels: Array,
    key: Array,
    n_seen: Array,
    learn: bool,
    batched: bool,
) -> tuple[Learned, Record]:
    batch = len(pixels)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(batch)) if batched else key[None]
    of_encoder, of_network = _split(keys)
    raster = jax.vmap(partial(spikes_of, inputs), out_axes=1)(of_encoder, pixels)
    if learn:
        now, valid = network.annealed(n_seen), jnp.ones(batch, bool)
        state, _, recording = dense.present(now, state, raster, valid, inputs.dt, of_network[0])
    else:

        def one(spikes: Array, key: Array) -> dense.Recording:
            return dense.infer(network, state, spikes[:, None], inputs.dt, key)[1]

        recording = jax.vmap(one, in_axes=(1, 0), out_axes=1)(raster, of_network)
        recording = jax.tree.map(lambda x: x.reshape(x.shape[0], batch, -1), recording)
        recording = recording.replace(theta=recording.theta[:, 0])
    made = record.of(raster, recording, network.neuron.v_threshold, inputs.dt)
    return state, made if batched else made.one(0)


def learn(
    network: CompetitiveNetwork,
    state: Learned,
    inputs: Inputs,
    images: ArrayLike,
    key: Array,
    n_seen: ArrayLike = 0,
) -> Learned:
    """Learn from many images, one after the other, or in batches of `inputs.batch_size`.

    Image i of batches of one is presented as `simulate(..., key=jax.random.fold_in(key, i), learn=True)` would, or
    again and brighter where `inputs.again` asks for it.

    Args:
        network: The network.
        state: What it has learned so far.
        inputs: Encoder, number of steps, time step and batch size.
        images: uint8 from 0 to 255, or floats from 0 to 1, [n, n_input].
        key: For all that is random.
        n_seen: How many presentations came before, for a `scaling` that slows down with them.

    Returns:
        The state after the last image.

    Raises:
        InputError: Images of another type, shape or range, or a state of another network.
    """
    _check(network, state, inputs)
    pixels = _many(images, network.n_input)
    if inputs.batch_size > 1 and (inputs.again is not None or network.longest_delay and network.lockstep):
        what = "inputs.again" if inputs.again is not None else "network.longest_delay"
        raise InputError(f"inputs.batch_size = {inputs.batch_size}: it should be 1 with {what}")
    return jax.jit(_learn)(network, state, inputs, pixels, key, n_seen)


def _learn(
    network: CompetitiveNetwork, state: Learned, inputs: Inputs, pixels: Array, key: Array, n_seen: Array
) -> Learned:
    n, batch = len(pixels), inputs.batch_size
    n_batches = -(-n // batch)
    pixels = jnp.pad(pixels, ((0, n_batches * batch - n), (0, 0))).reshape(n_batches, batch, -1)
    index = jnp.arange(n_batches * batch).reshape(n_batches, batch)
    engine = Dense() if network.lockstep else Batch(Dense())
    everywhere = jnp.broadcast_to(jnp.arange(network.n_input), (batch, network.n_input))

    def step(state: Learned, shown: tuple[Array, Array]):
        pixels, index = shown
        of_encoder, of_network = _split(jax.vmap(partial(jax.random.fold_in, key))(index))
        now = network.annealed(n_seen + index[0])
        spikes = jax.vmap(partial(spikes_of, inputs))(of_encoder, pixels)
        if batch > 1:
            return engine.present(now, state, (), spikes, everywhere, index < n, inputs.dt, of_network)[0], None

        def present(state: Learned, spikes: Array):
            state, counts, _ = dense.present(now, state, spikes[:, None], index < n, inputs.dt, of_network[0])
            return state, counts

        return present_until_response(inputs, of_encoder[0], pixels[0], spikes[0], present, state)[0], None

    return jax.lax.scan(step, state, (pixels, index))[0]


def infer(network: CompetitiveNetwork, state: Learned, inputs: Inputs, images: ArrayLike, key: Array) -> Array:
    """How often each neuron of a trained network fires for each image. Nothing changes in the network.

    It has its settings of inference (`network.answer`). Image i draws its random numbers from
    `jax.random.fold_in(key, i)`.

    Args:
        network: The network.
        state: What it has learned.
        inputs: Encoder, number of steps and time step.
        images: uint8 from 0 to 255, or floats from 0 to 1, [n, n_input].
        key: For all that is random.

    Returns:
        Spike counts, float32[n, n_neurons].

    Raises:
        InputError: Images of another type, shape or range, or a state of another network.
    """
    _check(network, state, inputs)
    return jax.jit(_infer)(network, state, inputs, _many(images, network.n_input), key)


def _infer(network: CompetitiveNetwork, state: Learned, inputs: Inputs, pixels: Array, key: Array) -> Array:
    trained = network.for_inference()

    def one(shown: tuple[Array, Array]) -> Array:
        pixels, index = shown
        of_encoder, of_network = jax.random.split(jax.random.fold_in(key, index))

        def present(state: tuple[()], spikes: Array):
            return state, dense.infer(trained, learned, spikes[:, None], inputs.dt, of_network)[0]

        learned, spikes = state, spikes_of(inputs, of_encoder, pixels)
        return present_until_response(inputs, of_encoder, pixels, spikes, present, ())[1][0]

    at_once = 1 if jax.default_backend() == "cpu" or inputs.again is not None else CHUNK
    return jax.lax.map(one, (pixels, jnp.arange(len(pixels))), batch_size=at_once)


def _split(keys: Array) -> tuple[Array, Array]:
    """A key for the encoder and one for the network, of each of `keys` [n]: [n], [n]."""
    both = jax.vmap(jax.random.split)(keys)
    return both[:, 0], both[:, 1]


def _shape(x: Any) -> str:
    """An array in an error: float32[3, 784]."""
    return f"{x.dtype}{list(x.shape)}"


def _pixels(images: ArrayLike, n_input: int, shapes: str = "[{0}] or [batch, {0}]") -> tuple[Array, bool]:
    """An image, or a batch of them, as floats from 0 to 1, [batch, n_input]; and whether it is a batch."""
    given = images if isinstance(images, jax.Array) else np.asarray(images)
    shape = given.shape
    wanted = f"images should be uint8 from 0 to 255, or floats from 0 to 1, {shapes.format(n_input)}"
    one = shape == (n_input,) or math.prod(shape) == n_input and shape[1:] != (n_input,)
    if not (one or len(shape) > 1 and shape[0] and math.prod(shape[1:]) == n_input):
        raise InputError(f"images of shape {list(shape)}: {wanted}")
    if given.dtype != np.uint8 and not jnp.issubdtype(given.dtype, jnp.floating):
        raise InputError(f"images of type {given.dtype}: {wanted}")
    if given.dtype != np.uint8 and not isinstance(given, Tracer):
        low, high = float(given.min()), float(given.max())  # NaN, if there is one
        if not 0.0 <= low <= high <= 1.0:
            raise InputError(f"images from {low:g} to {high:g}: {wanted}")
    pixels = jnp.asarray(given).reshape(-1, n_input).astype(float)
    return (pixels / 255.0 if given.dtype == np.uint8 else pixels), not one


def _many(images: ArrayLike, n_input: int) -> Array:
    """Images as floats from 0 to 1, [n, n_input]."""
    pixels, batched = _pixels(images, n_input, "[n, {0}]")
    if not batched:
        raise InputError(f"images of shape {list(np.shape(images))}: they should be [n, {n_input}], one image a row")
    return pixels


def _check(network: Any, state: Any, inputs: Inputs) -> None:
    """Raises InputError for a network that does not learn by plasticity, a state of another, or an encoder without
    spikes.
    """
    if not isinstance(network, CompetitiveNetwork):
        raise InputError(f"network is a {type(network).__name__}: it should be a CompetitiveNetwork")
    wanted = network.n_input, network.n_neurons
    if not isinstance(state, Learned):
        raise InputError(f"state is a {type(state).__name__}: it should be what network.init(key) or learn returns")
    if state.weights.shape != wanted:
        found = list(state.weights.shape)
        raise InputError(f"state.weights is {found}: the network has [n_input, n_neurons] = {list(wanted)}")
    image = jax.ShapeDtypeStruct((network.n_input,), jnp.float32)
    raster = jax.eval_shape(lambda i, x: i.encoder.encode(numerics.key(0), x, i.n_steps, i.dt), inputs, image)
    if raster.dtype != bool or raster.shape != (inputs.n_steps, network.n_input):
        name = type(inputs.encoder).__name__
        raise InputError(
            f"the encoder {name} gives {_shape(raster)}: it should give spikes, "
            f"bool[n_steps, n_input] = bool{[inputs.n_steps, network.n_input]}"
        )
