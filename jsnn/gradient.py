"""One trial of a network that is trained by gradients, as pure functions.

    trial, state, images  ->  state after some updates, and what was measured in each

A trial's numbers (learning rate, width of the surrogate, seed, ...) are leaves: many trials are mapped like one. What
is random in an update comes from the seed and the number of the update, so a state is all that a run needs to go on.
"""

import dataclasses
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jsnn.encoders import Direct
from jsnn.feedforward import Feedforward, Measured, Params, ReLU
from jsnn.learners import Conversion, Learner
from jsnn.pytree import node
from jsnn.trial import ORDER, TRAIN, WEIGHTS, Inputs

DROPOUT, AUGMENT = 8, 9  # purposes of random numbers, beside those of jsnn.trial


@node
class GradientTrial:
    """One run: what a network is shown, the network, and how it learns."""

    inputs: Inputs
    network: Feedforward
    rule: Learner


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
    inputs = dataclasses.replace(trial.inputs, encoder=Direct(), n_steps=1)
    network = dataclasses.replace(trial.network, neuron=ReLU(), readout="membrane")
    return GradientTrial(inputs=inputs, network=network, rule=trial.rule)


def ready(trial: GradientTrial, params: Params, pixels: Array) -> Params:
    """The parameters of the network that answers, once it is trained; `pixels` uint8[n, n_input] of training images."""
    if not isinstance(trial.rule, Conversion):
        return params
    ann = trained(trial).network
    return trial.rule.convert(ann, params, as_images(ann, pixels[: trial.rule.n_images]))


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


def shown(inputs: Inputs, key: Array, images: Array) -> Array:
    """What the network sees of `images` float32[batch, height, width, channels]: [n_steps or 1, batch, ...]."""

    def one(key, image):
        return inputs.encoder.encode(key, image, inputs.n_steps, inputs.dt)

    x = jax.vmap(one, out_axes=1)(jax.random.split(key, len(images)), images.reshape(len(images), -1))
    return x.reshape(*x.shape[:2], *images.shape[1:]).astype(float)


def as_images(network: Feedforward, pixels: Array) -> Array:
    """uint8[batch, n_input] as float32[batch, height, width, channels] in [0, 1]."""
    return pixels.reshape(-1, *network.input_shape).astype(float) / 255.0


def train(
    trial: GradientTrial, state: TrainState, pixels: Array, labels: Array, index: Array, n_updates: int
) -> tuple[TrainState, Measured]:
    """Updates for the batches `index` int32[n, batch] of the images `pixels` uint8[n_images, n_input], in a training of
    `n_updates` in all. What is measured has a leading axis of n.
    """
    trial = trained(trial)
    inputs, network, rule = trial.inputs, trial.network, trial.rule
    transformation = rule.optimiser.transformation(n_updates)
    keys = [inputs.key(purpose) for purpose in (TRAIN, DROPOUT, AUGMENT)]

    def update(state, rows):
        encode, dropout, augment = (jax.random.fold_in(key, state.n) for key in keys)
        images = as_images(network, pixels[rows])
        if inputs.augmentation is not None:
            images = inputs.augmentation(augment, images)
        x = shown(inputs, encode, images)
        gradient, measured = rule.gradient(network, state.params, x, labels[rows], inputs.n_steps, inputs.dt, dropout)
        updates, optimiser = transformation.update(gradient, state.optimiser, state.params)
        params = cast(Params, optax.apply_updates(state.params, updates))
        return TrainState(params=params, optimiser=optimiser, n=state.n + 1), measured

    return jax.lax.scan(update, state, index)
