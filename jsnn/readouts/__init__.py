"""From spike counts to answers: label assignment, votes, and a linear read-out. Pure functions.

Labels come from responses of the frozen network to *training* images, never from the test set. Silence is no answer: a
neuron that never fires has no label (-1), a presentation to which no labelled neuron answers is predicted as -1. The
linear read-out needs no labels: it has no answer (-1) where no neuron fires at all.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jsnn.core.pytree import node

N_CLASSES = 10  # the most that read-outs tell apart; of data with fewer, the others are never answered
READOUTS = ("all_activity", "proportion_weighting", "naive_bayes", "linear")
SMOOTHING = 1e-3  # spikes a presentation: what a neuron is taken to answer to a class to which it never did


@node
class Assignment:
    """What each neuron stands for."""

    response: Array  # [n_classes, n_neurons], mean count of each neuron over the presentations of each class
    label: Array  # int32[n_neurons], the class of the highest response; -1 for a silent neuron


def assign(counts: Array, labels: Array, valid: Array | None = None) -> Assignment:
    """Label every neuron with the class to which it responds most (Diehl & Cook 2015, §2.4).

    `counts` [n, n_neurons] are responses to images with `labels` int32[n]; `valid` bool[n] leaves some of them out.
    """
    member = jax.nn.one_hot(labels, N_CLASSES)
    if valid is not None:
        member = member * valid[:, None]
    return assignment_of(member.T @ counts / jnp.maximum(jnp.sum(member, axis=0), 1)[:, None])


def assignment_of(response: Array) -> Assignment:
    """The assignment that follows from mean responses [n_classes, n_neurons]."""
    label = jnp.where(jnp.sum(response, axis=0) > 0, jnp.argmax(response, axis=0), -1)
    return Assignment(response=response, label=label.astype(jnp.int32))


def _predict(score: Array) -> Array:
    return jnp.where(jnp.max(score, axis=1) > 0, jnp.argmax(score, axis=1), -1).astype(jnp.int32)


def predicted_class(score: Array) -> Array:
    """The class of the highest score, int32[...], of `score` [..., n_classes]; of several such classes the first.

    -1, no answer, where all scores are the same, as those of silent neurons are, or one of them is not a number.
    """
    best, least = jnp.max(score, axis=-1), jnp.min(score, axis=-1)  # both nan where one score is
    return jnp.where(best > least, jnp.argmax(score, axis=-1), -1).astype(jnp.int32)


def all_activity(assignment: Assignment, counts: Array) -> Array:
    """The class whose neurons fired most on average: int32[n] from `counts` [n, n_neurons]."""
    member = jax.nn.one_hot(assignment.label, N_CLASSES)
    return _predict(counts @ member / jnp.maximum(jnp.sum(member, axis=0), 1))


def proportion_weighting(assignment: Assignment, counts: Array) -> Array:
    """As `all_activity`, each neuron weighted by the share of its response that belongs to its class."""
    share = assignment.response / jnp.maximum(jnp.sum(assignment.response, axis=0), 1e-9)
    member = jax.nn.one_hot(assignment.label, N_CLASSES)
    return _predict(counts @ (member * share.T) / jnp.maximum(jnp.sum(member, axis=0), 1))


def naive_bayes(assignment: Assignment, counts: Array, among: Array | bool = True) -> Array:
    """The class under which the counts are most likely, were they independent Poisson numbers with the mean responses
    to that class: argmax_c sum_j (n_j log r_cj - r_cj), of the classes in `among` bool[n_classes]. Neurons need no
    label of their own.
    """
    rate = assignment.response + SMOOTHING
    score = jnp.where(among, counts @ jnp.log(rate).T - jnp.sum(rate, axis=1), -jnp.inf)
    heard = counts @ (assignment.label >= 0) > 0
    return jnp.where(heard, jnp.argmax(score, axis=1), -1).astype(jnp.int32)


@node
class Linear:
    """Softmax regression on standardised counts."""

    weights: Array  # [n_neurons, n_classes]
    bias: Array  # [n_classes]
    mean: Array  # [n_neurons]
    scale: Array  # [n_neurons]

    def logits(self, counts: Array) -> Array:
        """[n, n_classes]."""
        return (counts - self.mean) / self.scale @ self.weights + self.bias


def fit_linear(
    counts: Array, labels: Array, learning_rate: float = 0.1, decay: float = 1e-4, n_steps: int = 200
) -> Linear:
    """A linear read-out of the frozen network, by full-batch Adam (optax) on the cross-entropy with weight decay.

    `counts` [n, n_neurons] are responses to training images with `labels` int32[n].
    """
    start = Linear(
        weights=jnp.zeros((counts.shape[1], N_CLASSES)),
        bias=jnp.zeros(N_CLASSES),
        mean=jnp.mean(counts, axis=0),
        scale=jnp.std(counts, axis=0) + 0.1,  # counts are small integers: a neuron that hardly fires stays small
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


def predict(name: str, counts: Array, labels: Array, test_counts: Array) -> Array:
    """Predictions int32[n_test] of one of `READOUTS`, fitted on training responses `counts` with `labels`."""
    among = jnp.zeros(N_CLASSES, bool).at[labels].set(True)  # of others nothing is known, and none is answered
    if name == "linear":
        logits = jnp.where(among, fit_linear(counts, labels).logits(test_counts), -jnp.inf)
        return jnp.where(jnp.sum(test_counts, axis=1) > 0, jnp.argmax(logits, axis=1), -1).astype(jnp.int32)
    votes = {"all_activity": all_activity, "proportion_weighting": proportion_weighting}
    if name == "naive_bayes":
        return naive_bayes(assign(counts, labels), test_counts, among)
    return votes[name](assign(counts, labels), test_counts)


def confusion(labels: Array, predictions: Array) -> Array:
    """int32[n_classes, n_classes + 1]: rows are true classes, columns predicted ones, the last one "no answer"."""
    column = jnp.where(predictions < 0, N_CLASSES, predictions)
    return jnp.zeros((N_CLASSES, N_CLASSES + 1), jnp.int32).at[labels, column].add(1)
