"""Labels, votes and the linear read-out against loops over NumPy arrays, and what none of them may see."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn import readouts
from jsnn.readouts import READOUTS

N_CLASSES = 10


def predict(name, counts, labels, test_counts, n_classes=N_CLASSES):
    return jax.jit(readouts.predict, static_argnums=(0, 4))(name, counts, labels, test_counts, n_classes)


def assign(counts, labels, valid=None, n_classes=N_CLASSES):
    return readouts.assign(counts, labels, n_classes, valid)


def fit_linear(counts, labels, **numbers):
    return jax.jit(readouts.fit_linear, static_argnums=2, static_argnames="n_steps")(
        counts, labels, N_CLASSES, **numbers
    )


def responses(seed, n=160, n_neurons=7, silent=(2,), classes=N_CLASSES):
    """Small counts of neurons that prefer a class, with ties, and labels; `silent` neurons never fire."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n).astype(np.int32)
    preferred = rng.integers(0, classes, n_neurons)
    counts = rng.poisson(0.4 + 2.0 * (labels[:, None] == preferred)).astype(np.float32)
    counts[:, list(silent)] = 0
    return counts, labels


def mean_responses(counts, labels):
    """Mean count of each neuron over the presentations of each class, 0 where there are none."""
    table = np.zeros((N_CLASSES, counts.shape[1]))
    for c in range(N_CLASSES):
        for j in range(counts.shape[1]):
            own = [row[j] for row, y in zip(counts, labels, strict=True) if y == c]
            table[c, j] = np.mean(own) if own else 0.0
    return table


def scores(counts, label, weight):
    """For each presentation and class, the weighted mean count of the neurons that stand for the class."""
    table = np.zeros((len(counts), N_CLASSES))
    for n, row in enumerate(counts):
        for c in range(N_CLASSES):
            votes = [weight[j] * row[j] for j in range(len(label)) if label[j] == c]
            table[n, c] = np.mean(votes) if votes else 0.0
    return table


def assert_answers(answers, table):
    """Each answer is a class of the highest score, up to rounding, and -1 where all scores are 0."""
    answers = np.asarray(answers)
    assert answers.dtype == np.int32
    np.testing.assert_array_equal(answers < 0, table.max(axis=1) == 0)
    given = answers >= 0
    np.testing.assert_allclose(table[given, answers[given]], table[given].max(axis=1), rtol=1e-5)


# --- labels


@pytest.mark.parametrize("seed", range(3))
def test_assignment_is_the_class_of_the_highest_mean_response(seed):
    counts, labels = responses(seed, classes=6)  # classes 6 to 9 are not there
    assignment = assign(counts, labels)
    expected = mean_responses(counts, labels)
    np.testing.assert_allclose(assignment.response, expected, rtol=1e-6)
    np.testing.assert_array_equal(assignment.label, np.where(expected.sum(axis=0) > 0, expected.argmax(axis=0), -1))
    assert assignment.label[2] == -1 and len(set(assignment.label.tolist())) > 2
    assert assignment.label.dtype == jnp.int32


def test_a_label_is_a_mean_not_a_sum():
    """Three weak answers to a frequent class are less than a strong one to a rare class."""
    counts = np.array([[2.0], [2.0], [2.0], [5.0]])
    assert assign(counts, np.array([1, 1, 1, 4])).label.tolist() == [4]


def test_only_valid_presentations_label():
    counts, labels = responses(0)
    valid = np.arange(len(labels)) % 3 > 0
    part = assign(counts, np.where(valid, labels, -1), valid)
    whole = assign(counts[valid], labels[valid])
    np.testing.assert_allclose(part.response, whole.response, rtol=1e-6)
    np.testing.assert_array_equal(part.label, whole.label)
    assert not np.array_equal(part.response, assign(counts, labels).response)


def test_a_neuron_that_fires_only_where_it_does_not_count_is_silent():
    counts, labels = np.array([[1.0, 1.0], [0.0, 3.0]]), np.array([5, 7])
    assert assign(counts, labels, np.array([False, True])).label.tolist() == [-1, 7]


# --- votes


@pytest.mark.parametrize("seed", range(3))
def test_all_activity(seed):
    counts, labels = responses(seed)
    test_counts, _ = responses(seed + 100)
    test_counts[::5] = 0
    assignment = assign(counts, labels)
    table = scores(test_counts, np.asarray(assignment.label), np.ones(7))
    assert_answers(readouts.all_activity(assignment, test_counts), table)
    assert (table.max(axis=1) > 0).sum() > 100


@pytest.mark.parametrize("seed", range(3))
def test_proportion_weighting(seed):
    counts, labels = responses(seed)
    test_counts, _ = responses(seed + 100)
    test_counts[::5] = 0
    assignment = assign(counts, labels)
    means, label = mean_responses(counts, labels), np.asarray(assignment.label)
    share = [means[label[j], j] / means[:, j].sum() if label[j] >= 0 else 0.0 for j in range(7)]
    table = scores(test_counts, label, share)
    answers = readouts.proportion_weighting(assignment, test_counts)
    assert_answers(answers, table)
    assert len({round(s, 3) for s in share}) > 3  # the weights differ


def test_the_two_votes_differ_where_a_neuron_answers_to_everything():
    """Neuron 0 answers to class 3 a little more than to all others, neuron 1 to class 5 only."""
    response = np.array([[4.0, 0.0]] * N_CLASSES)
    response[3, 0], response[5, 1] = 5.0, 4.0
    assignment = readouts.Assignment(response=jnp.asarray(response), label=jnp.array([3, 5]))
    both = np.array([[5.0, 4.0]])
    assert readouts.all_activity(assignment, both).tolist() == [3]
    assert readouts.proportion_weighting(assignment, both).tolist() == [5]


@pytest.mark.parametrize("seed", range(3))
def test_naive_bayes_is_the_class_of_the_largest_likelihood(seed):
    from scipy.stats import poisson

    counts, labels = responses(seed)
    test_counts, _ = responses(seed + 100)
    rate = mean_responses(counts, labels) + readouts.SMOOTHING
    likelihood = poisson.logpmf(test_counts[:, None, :], rate[None]).sum(axis=-1)
    answers = np.asarray(readouts.naive_bayes(assign(counts, labels), test_counts))
    some = test_counts.sum(axis=1) > 0
    np.testing.assert_array_equal(answers[~some], -1)
    np.testing.assert_allclose(likelihood[some, answers[some]], likelihood[some].max(axis=1), rtol=1e-4)


@pytest.mark.parametrize("vote", [readouts.all_activity, readouts.proportion_weighting, readouts.naive_bayes])
def test_silence_is_no_answer(vote):
    """Neither is the activity of neurons without a label."""
    counts, labels = np.array([[3.0, 0.0], [0.0, 0.0]]), np.array([8, 1])
    assignment = assign(counts, labels)
    assert assignment.label.tolist() == [8, -1]
    assert vote(assignment, np.array([[0.0, 0.0], [0.0, 9.0], [1.0, 0.0], [1.0, 9.0]])).tolist() == [-1, -1, 8, 8]


def test_a_network_that_never_fired_answers_nothing():
    silent, labels = np.zeros((6, 4)), np.arange(6)
    for name in ("all_activity", "proportion_weighting", "naive_bayes"):
        assert predict(name, silent, labels, np.ones((3, 4))).tolist() == [-1] * 3


# --- the linear read-out


def separable(seed, n=160, n_neurons=7):
    """Counts that planes separate, but no single neuron and no vote: what tells the classes are differences."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n).astype(np.int32)
    counts = rng.integers(4, 7, (n, n_neurons)).astype(np.float32)
    for row, y in zip(counts, labels, strict=True):
        row[:5] += 6 * rng.integers(0, 2)  # a common drive that says nothing
        row[y] += 4
    return counts, labels


def test_linear_separates_what_is_separable():
    counts, labels = separable(0)
    test_counts, test_labels = separable(1)
    predictions = np.asarray(predict("linear", counts, labels, test_counts))
    assert predictions.dtype == np.int32
    assert np.mean(predictions == test_labels) == 1.0
    assert np.mean(np.asarray(predict("all_activity", counts, labels, test_counts)) == test_labels) < 0.9


def test_linear_learns_labels_not_counts():
    """From permuted labels it learns nothing."""
    counts, labels = separable(0)
    test_counts, test_labels = separable(1)
    wrong = np.random.default_rng(0).permutation(labels)
    assert np.mean(np.asarray(predict("linear", counts, wrong, test_counts)) == test_labels) < 0.5


def test_linear_is_at_its_optimum():
    """The gradient of its loss, written out, is small; the loss is far below that of a guess."""
    counts, labels = responses(0, silent=())
    model = fit_linear(counts, labels, decay=0.01)
    x = (counts - counts.mean(axis=0)) / (counts.std(axis=0) + 0.1)
    logits = np.asarray(model.logits(counts))
    np.testing.assert_allclose(logits, x @ np.asarray(model.weights) + np.asarray(model.bias), atol=1e-4)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    error = p - np.eye(N_CLASSES)[labels]
    np.testing.assert_allclose(x.T @ error / 160 + 0.02 * np.asarray(model.weights), 0, atol=5e-3)
    assert -np.mean(np.log(p[np.arange(160), labels])) < 0.8 * np.log(N_CLASSES)


def test_linear_of_neurons_that_never_fire_is_finite():
    model = fit_linear(np.zeros((160, 7), np.float32), np.repeat(np.array([1, 2, 3, 1], np.int32), 40), decay=0.01)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(model))
    assert model.logits(np.zeros((1, 7))).argmax() == 1  # the most frequent class


# --- all of them


@pytest.mark.parametrize("name", READOUTS)
def test_predictions_come_from_training_responses_and_one_presentation_alone(name):
    """No test label is given to a read-out, and a test presentation is answered whatever other ones there are."""
    assert list(inspect.signature(readouts.predict).parameters) == [
        *("name", "counts", "labels", "test_counts", "n_classes")
    ]
    counts, labels = responses(3)
    test_counts, _ = responses(4)
    answers = np.asarray(predict(name, counts, labels, test_counts))
    assert len(set(answers.tolist())) > 2
    order = np.random.default_rng(0).permutation(len(test_counts))
    np.testing.assert_array_equal(predict(name, counts, labels, test_counts[order]), answers[order])
    several = np.where(np.arange(len(order))[:, None] < 5, test_counts, 50.0)  # others answer in a storm
    np.testing.assert_array_equal(predict(name, counts, labels, several)[:5], answers[:5])
    assert not np.array_equal(predict(name, counts, (labels + 1) % 10, test_counts), answers)


def test_unknown_readout():
    with pytest.raises(KeyError, match="svm"):
        readouts.predict("svm", np.ones((1, 1)), np.ones(1, int), np.ones((1, 1)), N_CLASSES)


def test_confusion():
    """Rows are true classes, the last column is no answer: every presentation is counted once."""
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 10, 200), rng.integers(-1, 10, 200)
    matrix = np.asarray(readouts.confusion(labels, predictions, N_CLASSES))
    assert matrix.shape == (10, 11)
    for i in range(10):
        assert matrix[i].sum() == np.sum(labels == i)
        assert matrix[i, 10] == np.sum((labels == i) & (predictions == -1))
        for j in range(10):
            assert matrix[i, j] == np.sum((labels == i) & (predictions == j))
    assert matrix.trace() == np.sum(labels == predictions)


@pytest.mark.parametrize("name", readouts.READOUTS)
def test_classes_that_were_never_shown_are_not_answered(name):
    """Two of ten classes, and many spikes: to the others, of which nothing is known, few spikes would seem likely."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    counts = np.where(labels[:, None] == np.arange(30) % 2, 9.0, 3.0) + rng.random((40, 30))
    few = np.zeros((8, 30))
    few[np.arange(8), np.arange(8)] = 1.0
    assert set(np.asarray(predict(name, counts, labels, few)).tolist()) <= {0, 1}


@pytest.mark.parametrize("n_classes", (2, 3, 12))
@pytest.mark.parametrize("name", readouts.READOUTS)
def test_any_number_of_classes(name, n_classes):
    counts, labels = responses(0, n=400, n_neurons=40, classes=n_classes)
    test_counts, test_labels = responses(0, n=400, n_neurons=40, classes=n_classes)
    answers = np.asarray(predict(name, counts, labels, test_counts, n_classes))
    assert set(answers.tolist()) <= set(range(-1, n_classes))
    assert np.mean(answers == test_labels) > 0.5 + 0.3 / n_classes
    assert readouts.confusion(test_labels, answers, n_classes).shape == (n_classes, n_classes + 1)
    assert assign(counts, labels, n_classes=n_classes).response.shape == (n_classes, 40)


def test_ten_classes_are_told_apart_as_they_were_among_more():
    counts, labels = responses(5)
    for name in readouts.READOUTS:
        answers = predict(name, counts, labels, counts)
        np.testing.assert_array_equal(answers, predict(name, counts, labels, counts, 12))
