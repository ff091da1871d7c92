"""The conventional network: it learns, from training images only, and the same again from the same seed."""

import dataclasses
import functools
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest

from jsnn import data, runs
from jsnn.core.errors import InputError
from jsnn.data import Dataset
from jsnn.learners import ann
from jsnn.learners.ann import ANN
from jsnn.runs import config


@functools.cache
def toy():
    """Ten patterns of 20 pixels in noise."""
    rng = np.random.default_rng(0)
    patterns = rng.random((10, 20)) < 0.5

    def part(n):
        labels = rng.integers(0, 10, n).astype(np.int32)
        return np.where(patterns[labels], 200, 40).astype(np.uint8) + rng.integers(0, 30, (n, 20), np.uint8), labels

    return Dataset("toy", *part(300), *part(100))


SMALL = ANN(n_hidden=16, learning_rate=0.5, batch_size=7, epochs=3)


def train(model, dataset=None, n_train=300, n_test=100, on_progress=lambda n: None):
    return ann.train(model, dataset or toy(), n_train, n_test, on_progress)


@functools.cache
def trained():
    return train(SMALL)


def test_it_learns_a_separable_toy():
    predictions, curve = trained()
    assert predictions.shape == (100,) and predictions.dtype == np.int32
    assert np.mean(predictions == toy().test_labels) > 0.95
    assert curve[0][1] < 0.6 and curve[-1][1] > 0.95


def test_it_learns_digits_in_seconds():
    """784-100-10 on the embedded excerpt, one epoch of plain SGD in batches of 64."""
    excerpt = data.load("mnist_excerpt")
    predictions, curve = ann.train(ANN(learning_rate=0.2), excerpt, 10_000, 2_000, lambda n: None)
    assert np.mean(predictions == excerpt.test_labels) > 0.83
    assert curve[-1][1] > 0.83


PATIENT = ANN(learning_rate=0.1, batch_size=64, epochs=200, patience=5)


def test_trained_until_it_stops_improving_it_is_no_straw_man():
    """As the matrix of 36 cells has it beside them: 3000 images of the excerpt. One epoch of it answers 34 %."""
    excerpt = data.load("mnist_excerpt")
    predictions, curve = ann.train(PATIENT, excerpt, 3000, 2_000, lambda n: None)
    assert np.mean(predictions == excerpt.test_labels) > 0.88
    assert 10 < len(curve) < 200
    tables = tomllib.loads((Path(__file__).parents[1] / "configs" / "matrix.toml").read_text())
    assert config.overlay(ANN(), tables["ann"], "ann") == PATIENT


def test_the_images_that_say_when_to_stop_are_not_learned_from(monkeypatch):
    """A tenth, the last ones: with wrong labels the loss on them rises after a while, and the weights of the smallest
    one answer, not the last.
    """
    whole = toy()
    wrong = np.concatenate([whole.train_labels[:270], (whole.train_labels[270:] + 1) % 10])
    seen, of_loss = [], ann._loss
    monkeypatch.setattr(ann, "_loss", lambda model, params, x, y: seen.append(len(x)) or of_loss(model, params, x, y))
    monkeypatch.setattr(ann.jax, "jit", lambda f: f)
    model = dataclasses.replace(SMALL, epochs=40, patience=3)
    predictions, curve = train(model, dataclasses.replace(whole, train_labels=wrong))
    assert set(seen) == {30} and len(seen) == len(curve) < 40
    assert curve[-1][0] == len(curve) * (270 // 7) * 7
    best = len(curve) - 3
    monkeypatch.undo()
    kept = dataclasses.replace(SMALL, epochs=best)
    first = dataclasses.replace(whole, train_images=whole.train_images[:270], train_labels=whole.train_labels[:270])
    np.testing.assert_array_equal(train(kept, first, n_train=270)[0], predictions)


def test_what_is_not_a_number_is_refused_and_no_answer():
    with pytest.raises(InputError, match=r"ann.learning_rate = 1e\+30: the ANN has weights that are not finite after"):
        train(dataclasses.replace(SMALL, learning_rate=1e30))
    cfg = config.parse({"study": "x", "data": {"n_train": 300}, "ann": {"batch_size": 280, "patience": 1}})
    with pytest.raises(InputError, match="ann.batch_size = 280: it should be at most 270"):
        runs.schedule_of(cfg, data.load("mnist_excerpt"))
    dead = ann.MLP(16, 10).init(jax.random.key(0), np.zeros((1, 20)))
    dead = jax.tree.map(lambda leaf: 0.0 * leaf, dead)
    assert set(ann._predict(SMALL, dead, toy().test_images).tolist()) == {-1}


def test_its_size_is_the_one_of_the_study():
    model = ANN()
    assert (model.n_hidden, model.learning_rate, model.batch_size, model.epochs) == (100, 0.01, 64, 1)
    params = ann.MLP(model.n_hidden, 10).init(jax.random.key(0), np.zeros((1, 784)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 784 * 100 + 100 + 100 * 10 + 10


def test_a_point_of_the_curve_is_a_tenth_of_an_epoch():
    heard = []
    _, curve = train(SMALL, on_progress=heard.append)
    shown = [n for n, _ in curve]
    assert len(shown) == 30 and shown == sorted(set(shown))
    assert shown[9::10] == [42 * 7, 84 * 7, 126 * 7]  # 300 images are 42 batches of 7, and 6 that are left out
    assert heard == [300, 300, 300]
    assert all(0 <= accuracy <= 1 for _, accuracy in curve)


def test_an_epoch_of_fewer_batches_than_ten_has_as_many_points():
    _, curve = train(dataclasses.replace(SMALL, batch_size=200))
    assert [n for n, _ in curve] == [200, 400, 600]


def test_seed_and_numbers_matter_and_nothing_else_does():
    predictions, curve = trained()
    again, same_curve = train(SMALL)
    np.testing.assert_array_equal(again, predictions)
    assert same_curve == curve
    for other in ({"seed": 1}, {"learning_rate": 0.05}):
        assert train(dataclasses.replace(SMALL, **other))[1] != curve


def test_it_does_not_see_the_test_set_nor_images_beyond_n_train():
    whole = toy()
    other = dataclasses.replace(
        whole,
        train_images=np.concatenate([whole.train_images[:200], 255 - whole.train_images[200:]]),
        train_labels=np.concatenate([whole.train_labels[:200], 9 - whole.train_labels[200:]]),
        test_labels=9 - whole.test_labels,
    )
    predictions, curve = train(SMALL, n_train=200, n_test=30)
    same_predictions, same_curve = train(SMALL, other, n_train=200, n_test=30)
    assert predictions.shape == (30,)
    np.testing.assert_array_equal(same_predictions, predictions)
    assert same_curve == curve
    assert curve != trained()[1]


@pytest.mark.parametrize("learning_rate", [1e-3, 0.3])
def test_one_step_is_gradient_descent_on_the_cross_entropy(learning_rate):
    """One batch of all images: the step by hand, from the network's own formula."""
    whole, model = toy(), ANN(n_hidden=16, learning_rate=learning_rate, batch_size=300)
    key = jax.random.key(0)
    params = ann.MLP(16, 10).init(jax.random.fold_in(key, 0), np.zeros((1, 20)))
    layers = sorted(params["params"], key=lambda k: -len(params["params"][k]["kernel"]))  # 20 inputs, 16 hidden ones
    after, right = jax.jit(ann._epoch)(model, params, whole.train_images, whole.train_labels, key)
    w1, b1, w2, b2 = (np.float64(params["params"][k][p]) for k in layers for p in ("kernel", "bias"))
    x = whole.train_images / 255.0
    hidden = np.maximum(x @ w1 + b1, 0)
    logits = hidden @ w2 + b2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = (p - np.eye(10)[whole.train_labels]) / 300
    back = error @ w2.T * (hidden > 0)
    expected = [w1 - learning_rate * x.T @ back, b1 - learning_rate * back.sum(axis=0)]
    expected += [w2 - learning_rate * hidden.T @ error, b2 - learning_rate * error.sum(axis=0)]
    values = [after["params"][k][p] for k in layers for p in ("kernel", "bias")]
    for value, wanted in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, wanted, atol=1e-6)
    assert right[0] == pytest.approx(np.mean(logits.argmax(axis=1) == whole.train_labels))
