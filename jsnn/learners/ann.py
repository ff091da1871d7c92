"""The baseline of the study: a small conventional network, with flax and optax."""

from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jsnn.core import numerics
from jsnn.core.errors import InputError
from jsnn.core.pytree import node, static
from jsnn.core.ranges import Count, Positive, Seed
from jsnn.data import Dataset
from jsnn.readouts import predicted_class


@node
class ANN:
    """784-100-10 with ReLU, trained by plain SGD on the cross-entropy (Shears & Yazdani 2020: 88 % after one epoch).

    With `patience` it is trained until it stops improving: the last tenth of its training images are held out, training
    ends after so many epochs in a row without a smaller loss on them, or after `epochs`, and the weights of the
    smallest one are kept.
    """

    n_hidden: Count = static(default=100)
    learning_rate: Positive = 0.01
    batch_size: Count = static(default=64)
    epochs: Count = static(default=1)  # at most, with `patience`
    patience: Count | None = static(default=None)  # epochs; None: all `epochs` on all images
    seed: Seed = 0

    def n_shown(self, n_train: int) -> int:
        """How many of `n_train` images it learns from."""
        return n_train if self.patience is None else n_train - max(1, n_train // 10)


class MLP(nn.Module):
    """One hidden layer."""

    n_hidden: int
    n_classes: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Logits [n, n_classes] of images `x` [n, n_input] in [0, 1]."""
        return nn.Dense(self.n_classes)(nn.relu(nn.Dense(self.n_hidden)(x)))


def _model(ann: ANN, params: Any) -> MLP:
    return MLP(ann.n_hidden, params["params"]["Dense_0"]["bias"].size)  # that of the classes is made first


def _epoch(ann: ANN, params: Any, images: Array, labels: Array, key: Array) -> tuple[Any, Array]:
    model = _model(ann, params)
    optimiser = optax.sgd(ann.learning_rate)
    n_batches = images.shape[0] // ann.batch_size
    order = jax.random.permutation(key, images.shape[0])[: n_batches * ann.batch_size]

    def loss(params, x, y):
        logits = cast(Array, model.apply(params, x))
        right = jnp.mean(predicted_class(logits) == y)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y)), right

    def step(carry, rows):
        params, state = carry
        x = images[rows].astype(jnp.float32) / 255.0
        gradient, right = jax.grad(loss, has_aux=True)(params, x, labels[rows])
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), right

    (params, _), right = jax.lax.scan(step, (params, optimiser.init(params)), order.reshape(n_batches, ann.batch_size))
    return params, right


def _loss(ann: ANN, params: Any, images: Array, labels: Array) -> Array:
    logits = cast(Array, _model(ann, params).apply(params, images.astype(jnp.float32) / 255.0))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def _predict(ann: ANN, params: Any, images: Array) -> Array:
    logits = cast(Array, _model(ann, params).apply(params, images.astype(jnp.float32) / 255.0))
    return predicted_class(logits)


def train(
    ann: ANN, data: Dataset, n_train: int, n_test: int, on_progress: Callable[[int], None]
) -> tuple[np.ndarray, list[tuple[int, float]]]:
    """Train the network, a remainder of less than a batch left out each epoch.

    Returns its predictions int32[n_test] of the test images (-1: no answer, see `jsnn.readouts.predicted_class`), and
    (presentations, training accuracy) of each epoch's tenths, or with `patience` of each epoch. Raises InputError where
    its weights are no longer finite.
    """
    key = numerics.key(ann.seed)
    n = ann.n_shown(n_train)
    images, labels = jnp.asarray(data.train_images[:n_train]), jnp.asarray(data.train_labels[:n_train])
    params = MLP(ann.n_hidden, data.n_classes).init(jax.random.fold_in(key, 0), jnp.zeros((1, images.shape[1])))
    curve, best, kept, waited = [], np.inf, params, 0
    for epoch in range(ann.epochs):
        params, right = jax.jit(_epoch)(ann, params, images[:n], labels[:n], jax.random.fold_in(key, epoch + 1))
        done, right = epoch * len(right), np.asarray(right)
        for part in np.array_split(np.arange(len(right)), min(10, len(right)) if ann.patience is None else 1):
            curve.append((int((done + part[-1] + 1) * ann.batch_size), float(np.mean(right[part]))))
        on_progress(n)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            what = f"ann.learning_rate = {float(ann.learning_rate):g}"
            raise InputError(
                f"{what}: the ANN has weights that are not finite after epoch {epoch + 1}; take a smaller one"
            )
        if ann.patience is None:
            kept = params
            continue
        loss = float(jax.jit(_loss)(ann, params, images[n:], labels[n:]))
        best, kept, waited = (loss, params, 0) if loss < best else (best, kept, waited + 1)
        if waited == ann.patience:
            break
    return np.asarray(jax.jit(_predict)(ann, kept, jnp.asarray(data.test_images[:n_test]))), curve
