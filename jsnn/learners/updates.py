"""One trial of a network that is trained by gradients, as pure functions.

    trial, state, images  ->  state after some updates, and what was measured in each

A trial's numbers (learning rate, width of the surrogate, seed, ...) are leaves: many trials are mapped like one. What
is random in an update comes from the seed and the number of the update, so a state is all that a run needs to go on.
"""

from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jsnn.core.protocols import Encoder
from jsnn.core.pytree import node
from jsnn.encoders import Direct, Recording
from jsnn.engines.stimulus import ORDER, TRAIN, WEIGHTS, Inputs
from jsnn.grid.groups import Trial
from jsnn.networks.feedforward import BatchMetrics, Feedforward, LabelledBatch, Params

DROPOUT, AUGMENT = 8, 9  # purposes of random numbers, beside those of jsnn.engines.stimulus


@node
class TrainState:
    """All that a run needs to go on."""

    params: Params
    optimiser: Any  # optax's state
    n: Array  # updates done, int32


def init(trial: Trial) -> TrainState:
    """Untrained."""
    trial = trial.learner.as_trained(trial)
    params = trial.network.init(trial.inputs.key(WEIGHTS))
    optimiser = trial.learner.optimiser.transformation(1).init(cast(optax.Params, params))  # of any length
    return TrainState(params=params, optimiser=optimiser, n=jnp.zeros((), jnp.int32))


def order(inputs: Inputs, epoch: Array | int, n: int) -> Array:
    """Which of `n` images are in each batch of an epoch, int32[n_batches, batch]: a remainder is left out."""
    n_batches = n // inputs.batch_size
    chosen = jax.random.permutation(jax.random.fold_in(inputs.key(ORDER), epoch), n)[: n_batches * inputs.batch_size]
    return chosen.reshape(n_batches, inputs.batch_size)


def shown(trial: Trial, key: Array, pixels: Array, augment: Array | None = None) -> Array:
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


def row(trial: Trial) -> int:
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
    trial: Trial, state: TrainState, pixels: Array, labels: Array, index: Array, n_updates: int
) -> tuple[TrainState, BatchMetrics]:
    """Updates for the batches `index` int32[n, batch] of the images `pixels` uint8[n_images, n_input], in a training of
    `n_updates` in all. What is measured has a leading axis of n.
    """
    trial = trial.learner.as_trained(trial)
    inputs, network, learner = trial.inputs, trial.network, trial.learner
    transformation = learner.optimiser.transformation(n_updates)
    keys = [inputs.key(purpose) for purpose in (TRAIN, DROPOUT, AUGMENT)]

    def update(state, rows):
        encode, dropout, augment = (jax.random.fold_in(key, state.n) for key in keys)
        x = shown(trial, encode, pixels[rows], augment)
        batch = LabelledBatch(x=x, labels=labels[rows], n_steps=inputs.n_steps, dt=inputs.dt, key=dropout)
        gradient, measured = learner.gradient(network, state.params, batch)
        updates, optimiser = transformation.update(gradient, state.optimiser, state.params)
        params = cast(Params, optax.apply_updates(state.params, updates))
        return TrainState(params=params, optimiser=optimiser, n=state.n + 1), measured

    return jax.lax.scan(update, state, index)
