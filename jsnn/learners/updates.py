"""One trial of a network that is trained by gradients, as pure functions.

    trial, state, images  ->  state after some updates, and what was measured in each

A trial's numbers (learning rate, width of the surrogate, seed, ...) are leaves: many trials are mapped like one. What
is random in an update comes from the seed and the number of the update, so a state is all that a run needs to go on.
"""

import dataclasses
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jsnn.core.protocols import Encoder
from jsnn.core.pytree import node
from jsnn.encoders import Direct, Recording
from jsnn.engines.stimulus import ORDER, TRAIN, WEIGHTS, Inputs
from jsnn.learners import Conversion, Learner
from jsnn.networks.feedforward import BatchMetrics, Feedforward, LabelledBatch, Params, ReLU
from jsnn.neurons import IF

DROPOUT, AUGMENT = 8, 9  # purposes of random numbers, beside those of jsnn.learners.plasticity.trial


@node
class GradientTrial:
    """One run: what a network is shown, the network, and how it learns."""

    inputs: Inputs
    network: Feedforward
    rule: Learner
    shares_inputs: ClassVar[bool] = False  # it draws its own batches


@node
class TrainState:
    """All that a run needs to go on."""

    params: Params
    optimiser: Any  # optax's state
    n: Array  # updates done, int32


def trained(trial: GradientTrial) -> GradientTrial:
    """The trial as it is trained: of a network that is converted from an ANN, that ANN, which sees pixels once."""
    if not isinstance(trial.rule, Conversion):
        return trial
    inputs = trial.inputs
    if isinstance(inputs.encoder, Recording):  # the sum of its bins, for an ANN knows no time
        inputs = dataclasses.replace(inputs, encoder=Recording(accumulated=True))
    else:
        inputs = dataclasses.replace(inputs, encoder=Direct(), n_steps=1)
    network = dataclasses.replace(trial.network, neuron=ReLU(), readout="membrane")
    return GradientTrial(inputs=inputs, network=network, rule=trial.rule)


def converted(trial: GradientTrial, params: Params, pixels: Array) -> Params:
    """The parameters of a spiking network, of those of the ANN that was trained for it; `pixels` uint8[n, n_input] are
    training images.
    """
    assert isinstance(trial.rule, Conversion)
    ann = trained(trial)
    images = shown(ann, trial.inputs.key(TRAIN), pixels)[0]
    return trial.rule.convert(ann.network, params, images, cast(IF, trial.network.neuron))


def init(trial: GradientTrial) -> TrainState:
    """Untrained."""
    trial = trained(trial)
    params = trial.network.init(trial.inputs.key(WEIGHTS))
    optimiser = trial.rule.optimiser.transformation(1).init(cast(optax.Params, params))  # of any length
    return TrainState(params=params, optimiser=optimiser, n=jnp.zeros((), jnp.int32))


def order(inputs: Inputs, epoch: Array | int, n: int) -> Array:
    """Which of `n` images are in each batch of an epoch, int32[n_batches, batch]: a remainder is left out."""
    n_batches = n // inputs.batch_size
    chosen = jax.random.permutation(jax.random.fold_in(inputs.key(ORDER), epoch), n)[: n_batches * inputs.batch_size]
    return chosen.reshape(n_batches, inputs.batch_size)


def shown(trial: GradientTrial, key: Array, pixels: Array, augment: Array | None = None) -> Array:
    """What the network sees of `pixels` uint8[batch, n]: [n_steps or 1, batch, *input_shape]. `augment` is the key for
    the augmentation, while it is trained.
    """
    inputs, recorded = trial.inputs, isinstance(trial.inputs.encoder, Recording)

    def moved(images):
        return images if augment is None or inputs.augmentation is None else inputs.augmentation(augment, images)

    def one(key, image):
        return inputs.encoder.encode(key, image.reshape(-1), inputs.n_steps, inputs.dt)

    images = pixels if recorded else moved(as_images(trial.network, pixels))
    x = jax.vmap(one, out_axes=1)(jax.random.split(key, len(pixels)), images)
    x = x.reshape(*x.shape[:2], *trial.network.input_shape).astype(float)
    if not recorded:
        return x
    n_steps, batch, height, width, channels = x.shape  # all steps of a recording move alike, as its channels
    x = moved(jnp.moveaxis(x, 0, 3).reshape(batch, height, width, n_steps * channels))
    x = jnp.moveaxis(x.reshape(batch, height, width, n_steps, channels), 3, 0)
    return x if is_analog(inputs.encoder) else jnp.round(x)  # spikes again


def is_analog(encoder: Encoder) -> bool:
    """Whether what a network sees is numbers instead of spikes."""
    return isinstance(encoder, Direct) or isinstance(encoder, Recording) and encoder.accumulated


def row(trial: GradientTrial) -> int:
    """How many bytes an image, or a recording, of its data set has."""
    return (
        trial.inputs.n_steps * -(-trial.network.n_input // 8)
        if isinstance(trial.inputs.encoder, Recording)
        else trial.network.n_input
    )


def as_images(network: Feedforward, pixels: Array) -> Array:
    """uint8[batch, n_input] as float32[batch, height, width, channels] in [0, 1]."""
    return pixels.reshape(-1, *network.input_shape).astype(float) / 255.0


def train(
    trial: GradientTrial, state: TrainState, pixels: Array, labels: Array, index: Array, n_updates: int
) -> tuple[TrainState, BatchMetrics]:
    """Updates for the batches `index` int32[n, batch] of the images `pixels` uint8[n_images, n_input], in a training of
    `n_updates` in all. What is measured has a leading axis of n.
    """
    trial = trained(trial)
    inputs, network, rule = trial.inputs, trial.network, trial.rule
    transformation = rule.optimiser.transformation(n_updates)
    keys = [inputs.key(purpose) for purpose in (TRAIN, DROPOUT, AUGMENT)]

    def update(state, rows):
        encode, dropout, augment = (jax.random.fold_in(key, state.n) for key in keys)
        x = shown(trial, encode, pixels[rows], augment)
        batch = LabelledBatch(x=x, labels=labels[rows], n_steps=inputs.n_steps, dt=inputs.dt, key=dropout)
        gradient, measured = rule.gradient(network, state.params, batch)
        updates, optimiser = transformation.update(gradient, state.optimiser, state.params)
        params = cast(Params, optax.apply_updates(state.params, updates))
        return TrainState(params=params, optimiser=optimiser, n=state.n + 1), measured

    return jax.lax.scan(update, state, index)
