"""Read-outs: from spike counts to predicted classes, by label assignment and votes, or by a linear model.

Labels come from responses of the frozen network to *training* images, never from the test set. Silence is no
prediction: a neuron that never fires has no label (-1), and a presentation in which no labelled neuron fires is
predicted as -1. The linear read-out needs no labels: it predicts -1 where no neuron fires at all.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jsnn.core.pytree import node

READOUTS = ("all_activity", "proportion_weighting", "naive_bayes", "linear")
SMOOTHING = 1e-3  # spikes in a presentation: additive smoothing of mean counts; keeps log(0) out of naive Bayes


@node
class Assignment:
    """The mean responses of the neurons to each class, and the class that each neuron is labelled with."""

    response: Array  # [n_classes, n_neurons], mean count of each neuron over the presentations of each class
    label: Array  # int32[n_neurons], the class of the highest response; -1 for a silent neuron


def assign(counts: Array, labels: Array, n_classes: int, valid: Array | None = None) -> Assignment:
    """Label every neuron with the class to which it responds most (Diehl & Cook 2015, §2.4).

    Args:
        counts: Responses to images, [n, n_neurons].
        labels: Classes of the images, int32[n], 0 to n_classes - 1.
        n_classes: How many classes there are.
        valid: Which of the images count, bool[n]; by default all.

    Returns:
        The assignment.
    """
    is_member = jax.nn.one_hot(labels, n_classes)
    if valid is not None:
        is_member = is_member * valid[:, None]
    return assignment_of(is_member.T @ counts / jnp.maximum(jnp.sum(is_member, axis=0), 1)[:, None])


def assignment_of(response: Array) -> Assignment:
    """Label every neuron from its mean responses.

    Args:
        response: Mean spike counts, [n_classes, n_neurons].

    Returns:
        The assignment.
    """
    label = jnp.where(jnp.sum(response, axis=0) > 0, jnp.argmax(response, axis=0), -1)
    return Assignment(response=response, label=label.astype(jnp.int32))


def _predict(score: Array) -> Array:
    return jnp.where(jnp.max(score, axis=1) > 0, jnp.argmax(score, axis=1), -1).astype(jnp.int32)


def predicted_class(score: Array) -> Array:
    """Predict the class of the highest score; of several equal ones the first.

    Args:
        score: Scores, [..., n_classes].

    Returns:
        int32[...]; -1, no prediction, where all scores are equal, as those of silent neurons are, or one of them is
            NaN.
    """
    largest, smallest = jnp.max(score, axis=-1), jnp.min(score, axis=-1)  # both NaN where one score is
    return jnp.where(largest > smallest, jnp.argmax(score, axis=-1), -1).astype(jnp.int32)


def all_activity(assignment: Assignment, counts: Array) -> Array:
    """Predict the class whose neurons fired most on average.

    Args:
        assignment: Labels of the neurons.
        counts: Spike counts, [n, n_neurons].

    Returns:
        Predicted classes, int32[n]; -1 where no labelled neuron fired.
    """
    is_member = jax.nn.one_hot(assignment.label, len(assignment.response))
    return _predict(counts @ is_member / jnp.maximum(jnp.sum(is_member, axis=0), 1))


def proportion_weighting(assignment: Assignment, counts: Array) -> Array:
    """Predict as `all_activity`, each neuron weighted by the share of its response that belongs to its class.

    Args:
        assignment: Labels and mean responses of the neurons.
        counts: Spike counts, [n, n_neurons].

    Returns:
        Predicted classes, int32[n]; -1 where no labelled neuron fired.
    """
    share = assignment.response / jnp.maximum(jnp.sum(assignment.response, axis=0), 1e-9)
    is_member = jax.nn.one_hot(assignment.label, len(assignment.response))
    return _predict(counts @ (is_member * share.T) / jnp.maximum(jnp.sum(is_member, axis=0), 1))


def naive_bayes(assignment: Assignment, counts: Array, permitted: Array | bool = True) -> Array:
    """Predict the class under which the counts are most likely, as independent Poisson numbers.

        argmax_c sum_j (n_j log r_cj - r_cj)

    with r_cj the mean response of neuron j to class c, plus `SMOOTHING`. Neurons need no label of their own.

    Args:
        assignment: Mean responses of the neurons.
        counts: Spike counts, [n, n_neurons].
        permitted: Classes that may be predicted, bool[n_classes]; by default all.

    Returns:
        Predicted classes, int32[n]; -1 where no neuron with a label fired.
    """
    rate = assignment.response + SMOOTHING
    score = jnp.where(permitted, counts @ jnp.log(rate).T - jnp.sum(rate, axis=1), -jnp.inf)
    responded = counts @ (assignment.label >= 0) > 0
    return jnp.where(responded, jnp.argmax(score, axis=1), -1).astype(jnp.int32)


@node
class Linear:
    """Softmax regression on standardised spike counts."""

    weights: Array  # [n_neurons, n_classes]
    bias: Array  # [n_classes]
    mean: Array  # [n_neurons]
    scale: Array  # [n_neurons]

    def logits(self, counts: Array) -> Array:
        """Compute the logits, [n, n_classes], of spike counts [n, n_neurons]."""
        return (counts - self.mean) / self.scale @ self.weights + self.bias


def fit_linear(
    counts: Array, labels: Array, n_classes: int, learning_rate: float = 0.1, decay: float = 1e-4, n_steps: int = 200
) -> Linear:
    """Fit a linear read-out by full-batch Adam (optax) on the cross-entropy with weight decay.

    Args:
        counts: Responses of the frozen network to training images, [n, n_neurons].
        labels: Classes of the images, int32[n], 0 to n_classes - 1.
        n_classes: How many classes there are.
        learning_rate: Initial learning rate; it falls to 0 along a cosine.
        decay: Factor of the sum of squared weights in the loss.
        n_steps: Number of updates.

    Returns:
        The fitted read-out.
    """
    start = Linear(
        weights=jnp.zeros((counts.shape[1], n_classes)),
        bias=jnp.zeros(n_classes),
        mean=jnp.mean(counts, axis=0),
        scale=jnp.std(counts, axis=0) + 0.1,  # counts are small integers: keeps a neuron that hardly fires small
    )
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, n_steps))

    def loss(fitted: tuple[Array, Array]):
        model = Linear(weights=fitted[0], bias=fitted[1], mean=start.mean, scale=start.scale)
        error = optax.softmax_cross_entropy_with_integer_labels(model.logits(counts), labels)
        return jnp.mean(error) + decay * jnp.sum(jnp.square(model.weights))

    def step(carry: Any, _: None):
        fitted, state = carry
        updates, state = optimiser.update(jax.grad(loss)(fitted), state)
        return (optax.apply_updates(fitted, updates), state), None

    fitted: Any = (start.weights, start.bias)
    (fitted, _), _ = jax.lax.scan(step, (fitted, optimiser.init(fitted)), length=n_steps)
    return Linear(weights=fitted[0], bias=fitted[1], mean=start.mean, scale=start.scale)


def predict(name: str, counts: Array, labels: Array, test_counts: Array, n_classes: int) -> Array:
    """Fit a read-out on training responses and predict the classes of test responses.

    Args:
        name: One of `READOUTS`.
        counts: Responses to training images, [n, n_neurons].
        labels: Classes of the training images, int32[n].
        test_counts: Responses to test images, [n_test, n_neurons].
        n_classes: How many classes there are.

    Returns:
        Predicted classes, int32[n_test]; -1 for no prediction.
    """
    permitted = jnp.zeros(n_classes, bool).at[labels].set(True)  # by the training images
    if name == "linear":
        logits = jnp.where(permitted, fit_linear(counts, labels, n_classes).logits(test_counts), -jnp.inf)
        return jnp.where(jnp.sum(test_counts, axis=1) > 0, jnp.argmax(logits, axis=1), -1).astype(jnp.int32)
    votes = {"all_activity": all_activity, "proportion_weighting": proportion_weighting}
    if name == "naive_bayes":
        return naive_bayes(assign(counts, labels, n_classes), test_counts, permitted)
    return votes[name](assign(counts, labels, n_classes), test_counts)


def confusion(labels: Array, predictions: Array, n_classes: int) -> Array:
    """Count predictions by true class.

    Args:
        labels: True classes, int32[n].
        predictions: Predicted classes, int32[n]; -1 for no prediction.
        n_classes: How many classes there are.

    Returns:
        int32[n_classes, n_classes + 1]: rows are true classes, columns predicted ones, the last column "no prediction".
    """
    column = jnp.where(predictions < 0, n_classes, predictions)
    return jnp.zeros((n_classes, n_classes + 1), jnp.int32).at[labels, column].add(1)
