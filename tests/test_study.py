"""Grids: how trials are grouped, and that grid, blocks, windows and a resumed run compute what single trials do.

The toy images have 64 pixels, so that everything runs in a moment; blocks are small, so that there are several of them.
"""

import contextlib
import dataclasses
import functools
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn import readouts
from jsnn.core.errors import InputError
from jsnn.data import Dataset
from jsnn.encoders import Bernoulli, RankOrder
from jsnn.engines import dense
from jsnn.engines.stimulus import ASSIGN, NETWORK, TEST, TRAIN, Inputs, most_active
from jsnn.grid import groups
from jsnn.grid.groups import LaneState, Schedule, Trial
from jsnn.grid.layout import layouts
from jsnn.homeostasis.synaptic_scaling import SynapticScaling
from jsnn.learners import Plasticity
from jsnn.learners.learner import Task
from jsnn.learners.plasticity import evaluation, plans, training
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.neurons import IF, LIF, NEURONS
from jsnn.rules import STDP

N_INPUT, N_NEURONS, N_STEPS, BATCH = 64, 5, 12, 4
ENCODER = Bernoulli(max_probability=0.6)
# Batches of 4, 4, 4 and of 4, 4, 2 in the two windows of each epoch; 13 answers in batches of 4.
SCHEDULE = Schedule(n_train=22, n_assign=13, n_test=13, epochs=2, windows=2)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(plans, "BLOCK", 8)
    monkeypatch.setattr(plans, "EVAL_BATCH", 4)


@functools.cache
def toy():
    """Three patterns of 20 pixels in noise, more images than are used."""
    rng = np.random.default_rng(0)

    def part(n):
        labels = rng.integers(0, 3, n).astype(np.int32)
        noise = np.where(rng.random((n, N_INPUT)) < 0.1, rng.integers(1, 80, (n, N_INPUT)), 0)
        images = np.where(np.arange(N_INPUT) // 20 == labels[:, None], rng.integers(150, 256, (n, N_INPUT)), noise)
        return images.astype(np.uint8), labels

    return Dataset("toy", *part(30), *part(16))


def make(
    seed=0, eta_post=0.05, neuron=NEURONS["adaptive_lif"], encoder=ENCODER, n_steps=N_STEPS, batch_size=BATCH, **network
) -> Trial:  # fmt: skip
    """A small trial that learns from a few images."""
    network = {"n_neurons": N_NEURONS, "norm": 30.0, "tie_break": "random", "ghosts": True} | network
    return Trial(
        inputs=Inputs(encoder=encoder, seed=seed, n_steps=n_steps, batch_size=batch_size),
        network=CompetitiveNetwork(n_input=N_INPUT, neuron=neuron, rule=STDP(eta_post=eta_post), **network),
        learner=Plasticity(),
    )


def lane_of(*trials):
    (lane,) = groups.plan(trials)
    return lane


def train(lane, state=None, on_progress=lambda n: None, on_window=lambda state: None) -> LaneState:
    return training.train(lane, toy(), SCHEDULE, state or plans.start(lane, 3), on_progress, on_window)


def answer(lane, state, on_progress=lambda n: None):
    return evaluation.answer(lane, toy(), SCHEDULE, state.learned, on_progress, state.responses)


@functools.cache
def alone(seed, eta_post):
    """A trial of its own: its state when trained, and its answers."""
    lane = lane_of(make(seed, eta_post))
    state = train(lane)
    return state, answer(lane, state)[0][0]


def assert_same(one, other):
    """Trees equal bit for bit."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


# --- plan


def test_plan_groups_by_program_then_by_inputs_in_order_of_appearance():
    trials = [
        make(seed=seed, encoder=encoder, neuron=neuron, eta_post=eta)
        for encoder in (Bernoulli(), RankOrder())
        for neuron in (IF(), LIF())
        for eta in (0.1, 0.2)
        for seed in (0, 7)
    ]
    lanes = groups.plan(trials)
    assert [[cell.index for cell in lane.cells] for lane in lanes] == [
        [(0, 1, 2, 3), (4, 5, 6, 7)],
        [(8, 9, 10, 11), (12, 13, 14, 15)],
    ]
    for lane in lanes:
        np.testing.assert_array_equal(lane.inputs.seed, [0, 7, 0, 7])
        for cell in lane.cells:
            assert_same(cell.trials.inputs, lane.inputs)
            for g, i in enumerate(cell.index):
                assert_same(groups.take(cell.trials, g), jax.tree.map(jnp.asarray, trials[i]))


@pytest.mark.parametrize(
    ("other", "grouping"),
    [
        (make(seed=1), [[(0, 1)]]),  # another number: the same program
        (make(encoder=Bernoulli(max_probability=0.5)), [[(0, 1)]]),
        (make(neuron=LIF()), [[(0,), (1,)]]),  # another program for the same inputs
        (make(ghosts=False), [[(0,), (1,)]]),
        (make(norm=None), [[(0,), (1,)]]),
        (make(seed=1, ghosts=False), [[(0,)], [(1,)]]),  # another program for other inputs
        (make(encoder=Bernoulli(max_probability=0.5), ghosts=False), [[(0,)], [(1,)]]),
        (make(encoder=RankOrder()), [[(0,)], [(1,)]]),
        (make(n_steps=13), [[(0,)], [(1,)]]),
        (make(batch_size=2), [[(0,)], [(1,)]]),
    ],
)
def test_plan_of_two_trials(other, grouping):
    assert [[cell.index for cell in lane.cells] for lane in groups.plan([make(), other])] == grouping


def test_footprint_grows_with_what_is_large():
    rasters = plans.BLOCK * N_STEPS * N_INPUT
    small = plans.footprint(lane_of(make()))
    assert rasters < small < 2**20
    assert plans.footprint(lane_of(make(n_steps=1000 * N_STEPS))) > 1000 * rasters
    assert plans.footprint(lane_of(make(batch_size=10**6))) > 10**6 * N_STEPS * N_INPUT
    assert plans.footprint(lane_of(make(n_neurons=10**9))) > 4 * N_INPUT * 10**9
    assert plans.footprint(lane_of(*(make(seed=i, n_neurons=10**9) for i in range(3)))) > 3 * 4 * N_INPUT * 10**9


def test_blocks():
    """The last block is filled up with -1."""
    index = np.arange(10).reshape(2, 5)
    first, last = plans.blocks(index, 3)
    np.testing.assert_array_equal(first, [[0, 1, 2], [5, 6, 7]])
    np.testing.assert_array_equal(last, [[3, 4, -1], [8, 9, -1]])
    (only,) = plans.blocks(index, 5)
    np.testing.assert_array_equal(only, index)


# --- the definition: one presentation after the other


# Compiled for a few calls only.
quickly = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)


@functools.partial(quickly, static_argnums=4)
def rasters_of(inputs, images, purpose, number, n_active):
    """Four images with the spikes of their addresses: trial seed -> purpose -> number of the presentation."""
    root = jax.random.fold_in(jax.random.key(inputs.seed), purpose)

    def one(image, n):
        lit = jnp.nonzero(image, size=n_active, fill_value=N_INPUT)[0]
        pixels = jnp.append(image, 0.0)[lit] / 255.0
        spikes = inputs.encoder.encode(jax.random.fold_in(root, n), pixels, inputs.n_steps, inputs.dt)
        return jnp.zeros((inputs.n_steps, N_INPUT + 1), bool).at[:, lit].set(spikes)[:, :N_INPUT]

    return jax.vmap(one, out_axes=1)(images.astype(jnp.float32), number + jnp.arange(4))


present = quickly(lambda *arguments: dense.present(*arguments)[:2])
respond = quickly(lambda *arguments: dense.infer(*arguments)[0][0])


def key_of(trial: Trial, purpose: int, number: int):
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(trial.inputs.seed), purpose), number)


def four(images):
    """Up to four images, filled up with black ones."""
    return np.pad(images, ((0, 4 - len(images)), (0, 0)))


def by_definition(trial: Trial, learned, order):
    """The trained network and the counts of all presentations, from loops over epochs and batches."""
    batch, n, counts = trial.inputs.batch_size, SCHEDULE.n_train, []
    n_active = most_active(toy().train_images[:n])
    for epoch in range(SCHEDULE.epochs):
        for b in range(0, n, batch):
            rows, number = order[epoch][b : b + batch], epoch * n + b
            images = four(toy().train_images[rows])
            raster = rasters_of(trial.inputs, images, TRAIN, number, n_active)[:, :batch]
            valid = np.arange(batch) < len(rows)
            key = key_of(trial, TRAIN + NETWORK, number)
            learned, c = present(trial.network, learned, raster, valid, trial.inputs.dt, key)
            counts.append(np.asarray(c)[valid])
    return learned, np.concatenate(counts)


def votes(counts, labels):
    """What each presentation answers by `labels` of the neurons: loops over NumPy arrays; -1 for none."""
    answers = []
    for row in counts:
        score = [row[labels == c].mean() if np.any(labels == c) else 0.0 for c in range(3)]
        answers.append(int(np.argmax(score)) if max(score) > 0 else -1)
    return np.array(answers)


def means_of(counts, truth):
    """The mean count of each neuron over the images of each class: [n_classes, n_neurons]."""
    return np.array([counts[truth == c].mean(axis=0) if np.any(truth == c) else 0 * counts[0] for c in range(3)])


def labels_of(means):
    """The class to which each neuron answers most, -1 if it is silent."""
    return np.where(means.sum(axis=0) > 0, means.argmax(axis=0), -1)


@pytest.mark.parametrize("batch_size", [BATCH, 1])
def test_training_by_definition(batch_size):
    """Blocks, windows, a last batch that is not full, a new order in every epoch: all as in the loop above."""
    trial = make(seed=3, batch_size=batch_size)
    lane = lane_of(trial)
    start = plans.start(lane, 3)
    state = train(lane, start)
    orders = [training.training_order(layouts(1, 1)[0], lane.inputs, epoch, 22)[0] for epoch in range(2)]
    assert np.array_equal(np.sort(orders, axis=1), [np.arange(22)] * 2)
    assert not np.array_equal(*orders) and not np.array_equal(orders[0], np.arange(22))
    learned, counts = by_definition(trial, groups.take(start.learned[0], 0), orders)
    np.testing.assert_allclose(state.learned[0].weights[0], learned.weights, rtol=1e-5)
    np.testing.assert_allclose(state.learned[0].theta[0], learned.theta, rtol=1e-5)
    # and it was no silence that they agree on
    assert np.mean(counts > 0) > 0.2
    assert np.max(np.abs(state.learned[0].weights - start.learned[0].weights)) > 0.05

    # the curve: each window's accuracy by the labels of the window before
    truth = toy().train_labels[np.concatenate(orders)]
    ends = {BATCH: [12, 22, 34, 44], 1: [11, 22, 33, 44]}[batch_size]
    windows = [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]
    means = [means_of(counts[window], truth[window]) for window in windows]
    curve = [
        (now.stop, np.mean(votes(counts[now], labels_of(before)) == truth[now]))
        for before, now in zip(means, windows[1:], strict=False)
    ]
    np.testing.assert_allclose(state.curves[0][0], curve)
    np.testing.assert_array_equal(state.labels[0][0], labels_of(means[-1]))
    np.testing.assert_allclose(state.responses[0][0], sum(means), rtol=1e-5)


def silent(n):
    """No progress to show."""


def test_answers_by_definition():
    trial, data = make(seed=0, eta_post=0.05), toy()
    state, answers = alone(0, 0.05)
    learned = groups.take(state.learned[0], 0)
    counts, n_spikes = {ASSIGN: [], TEST: []}, 0
    for purpose, images in ((ASSIGN, data.train_images[:13]), (TEST, data.test_images[:13])):
        for b in range(0, 13, 4):
            part = images[b : min(b + 4, 13)]
            raster = rasters_of(trial.inputs, four(part), purpose, b, most_active(images))
            for i in range(len(part)):
                key = key_of(trial, purpose + NETWORK, b + i)
                counts[purpose].append(
                    np.asarray(respond(trial.network, learned, raster[:, [i]], trial.inputs.dt, key))
                )
            n_spikes += int(np.sum(raster[:, : len(part)])) if purpose == TEST else 0
    truth, responses = data.test_labels[:13], np.array(counts[TEST])
    labels = labels_of(means_of(np.array(counts[ASSIGN]), data.train_labels[:13]))
    np.testing.assert_array_equal(answers.labels, labels)
    assert answers.input_spikes == pytest.approx(n_spikes / 13)
    assert answers.output_spikes == pytest.approx(responses.sum() / 13)
    for name, used in (("all_activity", labels), ("accumulated", labels_of(state.responses[0][0]))):
        predictions, confusion = votes(responses, used), np.zeros((3, 4), int)
        np.add.at(confusion, (truth, predictions), 1)  # -1 is the last column
        np.testing.assert_array_equal(answers.confusion[name], confusion)
        assert answers.accuracy[name] == pytest.approx(np.mean(predictions == truth))
        assert answers.accuracy[name] > 0.5
    assert set(answers.accuracy) == set(answers.confusion) == {*readouts.READOUTS, "accumulated"}


def test_test_images_are_shown_in_several_passes():
    """Each with spikes of its own; the answer is the mean of all, and one pass is the first of them."""
    state, _ = alone(0, 0.05)
    lane, thrice = lane_of(make(0, 0.05)), dataclasses.replace(SCHEDULE, test_passes=3)
    images, n = toy().test_images[:13], 13
    passes = [evaluation.responses(lane, state.learned, images, TEST, silent, start=k * n) for k in range(3)]
    counts, input_spikes = evaluation.in_passes(lane, state.learned, toy().test_images, thrice, silent)
    np.testing.assert_allclose(counts[0], np.mean([p[0][0] for p in passes], axis=0))
    np.testing.assert_allclose(input_spikes, np.mean([p[1] for p in passes], axis=0))
    assert (passes[0][0][0] != passes[1][0][0]).any()


def test_labels_from_the_test_images_are_there_only_if_asked_for():
    state, answers = alone(0, 0.05)
    lane, name = lane_of(make(0, 0.05)), "labelled_on_test_images"
    asked = evaluation.answer(lane, toy(), SCHEDULE, state.learned, silent, label_on_test=True)[0][0]
    assert name not in answers.accuracy and name in asked.accuracy
    counts, _ = evaluation.responses(lane, state.learned, toy().test_images[:13], TEST, silent)
    truth = toy().test_labels[:13]
    want = votes(counts[0][0], labels_of(means_of(counts[0][0], truth)))
    assert asked.accuracy[name] == pytest.approx(np.mean(want == truth))


# --- what runs away, and what is silent


@pytest.mark.parametrize(
    ("what", "number", "fields"),
    [
        ("scales", "network.scaling.eta = 0.5", {"scaling": SynapticScaling(eta=0.5, target=30.0)}),
        ("weights", "rule.eta_post = 3e+37", {"rule": STDP(eta_post=3e37, w_max=float("inf")), "norm": None}),
    ],
)
def test_a_network_that_runs_away_is_refused_before_it_is_saved(what, number, fields):
    good, bad = make(seed=3, batch_size=1), make(seed=4, batch_size=1)
    bad = dataclasses.replace(bad, network=dataclasses.replace(bad.network, **fields))
    healthy = {"scaling": bad.network.scaling and SynapticScaling(), "norm": bad.network.norm}
    good = dataclasses.replace(good, network=dataclasses.replace(good.network, **healthy))
    lane, saved = lane_of(good, bad), []
    message = rf"{what} are not finite after presentation \d+, of trial 1 \(run.seed = 4\): .* {re.escape(number)}"
    with pytest.raises(InputError, match=message) as error:
        train(lane, on_window=saved.append)
    assert "\n" not in str(error.value)
    for state in saved:
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.learned))


@pytest.mark.parametrize("field", ["weights", "theta"])
def test_a_network_that_is_no_numbers_does_not_answer(field):
    state, _ = alone(0, 0.05)
    (learned,) = state.learned
    broken = dataclasses.replace(learned, **{field: jnp.asarray(getattr(learned, field)).at[0, 0].set(jnp.nan)})
    with pytest.raises(InputError, match="are not finite after training, of trial 0"):
        answer(lane_of(make(0, 0.05)), dataclasses.replace(state, learned=(broken,)))


def test_a_silent_network_has_no_answer():
    """By any read-out: the linear one, too, does not answer with its bias."""
    silent_one = make(0, 0.05, neuron=LIF(v_threshold=1e6))
    lane = lane_of(silent_one)
    answers = answer(lane, plans.start(lane, 3))[0][0]
    assert answers.silent == 1.0 and answers.output_spikes == 0.0 < answers.input_spikes
    for name, matrix in answers.confusion.items():
        assert answers.accuracy[name] == 0.0 and np.sum(np.array(matrix)[:, -1]) == 13, name
    warned = []
    observer = SimpleNamespace(progress=silent, warn=warned.append)
    task = Task(toy(), SCHEDULE, observer, engine="auto", grid="auto", readout="linear", conditions=["a silent one"])
    lane.learner.answers(lane, task, plans.start(lane, 3))
    assert len(warned) == 1 and "trial 0 is silent: no neuron fires at 100 % of the test images" in warned[0]


# --- grids


def test_a_grid_is_the_loop_over_its_trials_bit_for_bit():
    grid = [(seed, eta) for eta in (0.05, 0.01) for seed in (0, 1, 2)]
    lane = lane_of(*(make(seed, eta) for seed, eta in grid))
    shown = []
    state = train(lane, on_progress=shown.append)
    answers = answer(lane, state, on_progress=shown.append)
    assert sum(shown) == len(grid) * (44 + 13 + 13)
    for g, (seed, eta) in enumerate(grid):
        one_state, one_answers = alone(seed, eta)
        assert_same(groups.take(state.learned[0], g), groups.take(one_state.learned[0], 0))
        np.testing.assert_array_equal(state.labels[0][g], one_state.labels[0][0])
        np.testing.assert_array_equal(state.responses[0][g], one_state.responses[0][0])
        assert state.curves[0][g] == one_state.curves[0][0]
        np.testing.assert_array_equal(answers[0][g].labels, one_answers.labels)
        for field in ("accuracy", "confusion", "input_spikes", "output_spikes"):
            assert getattr(answers[0][g], field) == getattr(one_answers, field)
    weights = np.asarray(state.learned[0].weights)
    for g in range(1, len(grid)):
        assert not np.array_equal(weights[0], weights[g])  # six networks, not one


def test_cells_of_a_lane_see_the_same_spikes():
    """Two networks in lockstep learn what each learns alone, from rasters that were drawn once."""
    other = make(ghosts=False)
    lane = lane_of(make(), other)
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        encode = plans._encode
        patch.setattr(plans, "_encode", lambda *a: drawn.append(a) or encode(*a))
        state = train(lane)
    answers = answer(lane, state)
    assert len(drawn) == 1  # traced once for both
    one_state, one_answers = alone(0, 0.05)
    assert_same(state.learned[0], one_state.learned[0])
    assert answers[0][0].accuracy == one_answers.accuracy
    alone_state = train(lane_of(other))
    assert_same(state.learned[1], alone_state.learned[0])
    assert state.curves == [one_state.curves[0], alone_state.curves[0]]
    assert not np.array_equal(state.learned[0].theta, state.learned[1].theta)


@contextlib.contextmanager
def compilations():
    """The compilations of a block of code, as JAX reports them."""
    events = []

    def listen(event, seconds, **_):
        if event.startswith("/jax/core/compile/"):
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield events
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_a_study_that_differs_in_numbers_compiles_nothing():
    alone(0, 0.05)
    with compilations() as events:
        neuron = LIF(tau_m=50.0, adaptation=dataclasses.replace(NEURONS["adaptive_lif"].adaptation, theta_plus=0.1))
        lane = lane_of(make(9, 0.03, neuron, norm=25.0, encoder=Bernoulli(max_probability=0.5)))
        state = train(lane)
        answer(lane, state)
    assert events == []
    assert not np.array_equal(state.learned[0].weights, alone(0, 0.05)[0].learned[0].weights)
    with compilations() as events:
        plans.start(lane_of(make(n_neurons=6)), 3)
    assert events != []


# --- going on


def test_training_goes_on_from_any_window_as_if_it_had_never_stopped():
    lane, states = lane_of(make()), []
    end = train(lane, on_window=states.append)
    assert [state.window for state in states] == [1, 2, 3, 4]
    assert [len(state.curves[0][0]) for state in states] == [0, 1, 2, 3]
    for state in states:
        later = train(lane, state=state)
        assert_same(later.learned, end.learned)
        assert_same((later.labels, later.responses), (end.labels, end.responses))
        assert (later.curves, later.window) == (end.curves, 4)
    assert [len(state.curves[0][0]) for state in states] == [0, 1, 2, 3]  # and the states are what they were
    assert not np.array_equal(states[2].learned[0].weights, end.learned[0].weights)


def test_only_training_images_that_are_used_are_seen():
    """Images beyond n_train, and the test set, do not change what is learned."""
    data = toy()
    other = dataclasses.replace(
        data,
        train_images=np.concatenate([data.train_images[:22], 255 - data.train_images[22:]]),
        train_labels=np.concatenate([data.train_labels[:22], 2 - data.train_labels[22:]]),
        test_images=255 - data.test_images,
        test_labels=2 - data.test_labels,
    )
    lane, (state, answers) = lane_of(make()), alone(0, 0.05)
    again = training.train(lane, other, SCHEDULE, plans.start(lane, 3), lambda n: None, lambda state: None)
    assert_same(again.learned, state.learned)
    new = evaluation.answer(lane, other, SCHEDULE, again.learned, lambda n: None)[0][0]
    np.testing.assert_array_equal(new.labels, answers.labels)
    assert set(new.accuracy) == set(readouts.READOUTS)  # without responses in training
    assert all(accuracy < 0.5 < answers.accuracy[name] for name, accuracy in new.accuracy.items())
