"""The committed results say what the README says of them, and hold the study's claims."""

import sys
from pathlib import Path
from statistics import mean

import pytest

from jsnn import results, runs

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "experiments"))


def records(run):
    return results.read(ROOT / "checkpoints" / run / "results.jsonl")


def cells(run):
    return {(r["encoder"], r["neuron"], r["rule"]): r["test_accuracy"] for r in records(run)}


def test_seed_study_is_the_whole_study():
    ours, published = cells("seed_study"), runs.config_of(ROOT / "checkpoints" / "seed_study").published
    assert ours.keys() == published.keys()
    assert len(ours) == 37
    for record in records("seed_study"):
        assert (record["n_train"], record["n_test"]) == (60_000, 10_000)


@pytest.mark.parametrize(("encoder", "tolerance"), [("poisson", 0.05), ("bernoulli", 0.08)])
def test_seed_study_agrees_where_the_study_learned(encoder, tolerance):
    ours, published = cells("seed_study"), runs.config_of(ROOT / "checkpoints" / "seed_study").published
    for rule in ("stdp", "weight_dependent_stdp", "hebbian"):
        cell = encoder, "adaptive_lif", rule
        assert ours[cell] == pytest.approx(published[cell], abs=tolerance), cell


def test_seed_study_is_near_chance_where_the_study_was():
    published = runs.config_of(ROOT / "checkpoints" / "seed_study").published
    for cell, accuracy in cells("seed_study").items():
        if published[cell] <= 0.14:
            assert accuracy <= 0.25, cell


def test_seed_study_ann():
    assert cells("seed_study")["none", "relu", "backprop"] == pytest.approx(0.88, abs=0.02)


def test_learning_rates_times_the_batch_collapse():
    for cell, accuracy in cells("seed_study_collapse").items():
        assert accuracy <= 0.25, cell


def test_headline():
    trials = records("headline")
    assert {(r["encoder"], r["neuron"], r["rule"], r["batch_size"]) for r in trials} == {
        ("poisson", "adaptive_lif", "stdp", 1)
    }
    assert {r["seed"] for r in trials} == {0, 1, 2, 3, 4}
    assert all((r["n_neurons"], r["n_train"], r["n_test"]) == (100, 60_000, 10_000) for r in trials)
    assert mean(r["test_accuracy"] for r in trials) >= 0.82


def test_readme_shows_the_committed_results():
    import readme

    text = (ROOT / "README.md").read_text()
    assert readme.rewritten(text) == text
    assert text.count("<!-- table") == len(readme.TABLES)


@pytest.mark.parametrize("run", ["headline"])
def test_trained_networks_reload(run):
    warnings = []
    cfg, lanes, learned = runs.load_trained(ROOT / "checkpoints" / run, warnings.append)
    assert not warnings
    assert [x.weights.shape for x in learned[0]] == [(len(lanes[0].cells[0].index), 784, 100)]
    for line in records(run):
        trial, network = runs.network_of(cfg, lanes, learned, line)
        assert abs(network.weights.sum(axis=0) - trial.network.norm).max() < 0.01


def test_encoders_are_compared_at_equal_drive():
    """Spikes of an image, times what they count: measured, not only intended."""
    cfg = runs.config_of(ROOT / "checkpoints" / "every_cell")
    gains = {e.encoder: e.trial.network.gain for e in cfg.entries}
    drives = {r["encoder"]: gains[r["encoder"]] * r["input_spikes"] for r in records("every_cell")}
    assert len(drives) == 3
    assert max(drives.values()) < 1.02 * min(drives.values())


def test_every_cell_learns():
    """30 cells and more above 75 %, none below 65 %: five seeds each, all of the test images."""
    accuracies = {}
    for r in records("every_cell"):
        accuracies.setdefault((r["encoder"], r["neuron"], r["rule"]), {})[r["seed"]] = r["test_accuracy"]
        assert (r["n_neurons"], r["n_test"]) == (100, 10_000) and r["n_train"] <= 60_000
    assert len(accuracies) == 36
    assert all(set(seeds) == set(range(5)) for seeds in accuracies.values())
    means = [mean(seeds.values()) for seeds in accuracies.values()]
    assert sum(m > 0.75 for m in means) >= 30
    assert min(means) > 0.65
