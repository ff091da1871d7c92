"""Successive halving: what is drawn, who is kept, what it may see, and that it goes on where it was."""

import dataclasses

import numpy as np
import pytest

from jsnn import data
from jsnn.core.errors import InputError
from jsnn.runs import config, results, search

TABLES = {
    "study": "tuning",
    "data": {"n_train": 200, "n_assign": 48, "n_test": 40, "n_validation": 60},
    "run": {"n_steps": 20, "curve_points": 2, "engine": "dense"},  # the one that compiles in the shortest time
    "matrix": {"neuron": ["lif", "adaptive_lif"]},
    "neuron": {"adaptive_lif": {"adaptation": {"theta_plus": 0.2}}},
    "network": {"n_neurons": 6},
    "search": {
        "candidates": 4,
        "rungs": [32, 64],
        "keep": 0.5,
        "ranges": {"rule.eta_post": [1e-3, 1e-1], "neuron.adaptation.theta_plus": [0.05, 1.0]},
    },
}


def study(**changes):
    return config.parse({k: v for k, v in (TABLES | changes).items() if v is not None})


def ranges(**changes):
    return {"search": TABLES["search"] | changes}


class Quiet:
    """An observer that counts presentations."""

    shown = 0

    def progress(self, n):
        self.shown += n

    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.fixture(scope="module")
def dataset():
    return data.load("mnist_excerpt", n_train=200, n_test=50).held_out(60)


@pytest.fixture(scope="module")
def tuned(dataset, tmp_path_factory):
    out, observer = tmp_path_factory.mktemp("tuned") / "run", Quiet()
    search.run(study(), dataset, out, observer, clock=False)
    assert observer.shown == sum(search.presentations(study(), 40))  # it costs what it says
    return out


def test_held_out_images_are_the_last_training_images():
    whole = data.load("mnist_excerpt", n_train=200, n_test=50)
    held = whole.held_out(60)
    assert len(held.train_labels) == 140
    np.testing.assert_array_equal(held.test_images, whole.train_images[140:])
    np.testing.assert_array_equal(held.test_labels, whole.train_labels[140:])
    for n in (0, 200):
        with pytest.raises(InputError, match="from 1 to 199"):
            whole.held_out(n)


def test_candidates_are_log_uniform_and_only_of_numbers_that_a_cell_has():
    cfg = study(**ranges(candidates=2000))
    lif, adaptive = cfg.entries
    points = search.candidates(lif, 0, cfg.search)
    assert points[0] == {"encoder": "poisson", "neuron": "lif", "rule": "stdp"}  # the config's own numbers
    drawn = np.log10([point["rule.eta_post"] for point in points[1:]])
    assert -3 <= drawn.min() < -2.98 and -1.02 < drawn.max() <= -1
    assert abs(drawn.mean() + 2) < 4 * (2 / np.sqrt(12)) / np.sqrt(len(drawn))
    assert not any("neuron.adaptation.theta_plus" in point for point in points)
    assert "neuron.adaptation.theta_plus" in search.candidates(adaptive, 1, cfg.search)[1]
    assert search.candidates(lif, 0, cfg.search) == points
    assert search.candidates(lif, 1, cfg.search)[1:] != points[1:]


def test_a_rung_keeps_the_best_of_each_cell(tuned):
    history = results.read(tuned / "results.jsonl")
    rungs = [[line for line in history if line["rung"] == number] for number in (0, 1)]
    assert [len(rung) for rung in rungs] == [2 * 4, 2 * 2]
    assert [{line["n_train"] for line in rung} for rung in rungs] == [{32}, {64}]
    assert {line["split"] for line in history} == {"validation"}
    for neuron in ("lif", "adaptive_lif"):
        first, second = ([line for line in rung if line["neuron"] == neuron] for rung in rungs)
        drawn = [line for line in first if line["overrides"]]
        accuracies = sorted((line["accuracy"] for line in drawn), reverse=True)
        went_on = [line for line in drawn if line["overrides"] in [s["overrides"] for s in second]]
        assert [line["accuracy"] for line in went_on] == accuracies[:1]
        assert {} in [s["overrides"] for s in second]  # the config's own numbers


def test_the_best_of_each_cell_can_be_put_into_a_config(tuned):
    import tomllib

    cells = tomllib.loads((tuned / "best.toml").read_text())["cell"]
    cfg = study(search=None, cell=cells)
    last = [line for line in results.read(tuned / "results.jsonl") if line["rung"] == 1]
    for entry in cfg.entries:
        mine = [line for line in last if line["neuron"] == entry.neuron]
        assert entry.overrides == max(mine, key=lambda line: line["accuracy"])["overrides"]


def test_it_does_not_see_the_test_images(tuned, tmp_path):
    whole = data.load("mnist_excerpt", n_train=200, n_test=50)
    other = dataclasses.replace(whole, test_images=255 - whole.test_images, test_labels=9 - whole.test_labels)
    search.run(study(), other.held_out(60), tmp_path / "run", Quiet(), clock=False)
    assert (tmp_path / "run/results.jsonl").read_bytes() == (tuned / "results.jsonl").read_bytes()


def test_it_goes_on_after_a_rung(tuned, dataset, tmp_path):
    class Stops(Quiet):
        def lane(self, number, entries, presentations):
            if len(entries) < 8:  # the second rung
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(study(), dataset, tmp_path / "run", Stops(), clock=False)
    assert not (tmp_path / "run/results.jsonl").exists()
    search.run(study(), dataset, tmp_path / "run", Quiet(), resume=True, clock=False)
    assert (tmp_path / "run/results.jsonl").read_bytes() == (tuned / "results.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": None}, "nothing to tune"),
        (ranges(ranges={}), "nothing to tune"),
        ({"data": {}}, "n_validation is not set"),
        ({"sweep": {"run": {"seed": [0, 1]}}}, "leave them out"),
        (ranges(ranges={"rule.eta_post": [0.1, 0.01]}), "the smaller first"),
        (ranges(ranges={"neuron.delta": [0.01, 0.1]}), "no cell has this number"),
        (ranges(rungs=[64, 32]), "that grow"),
    ],
)
def test_what_cannot_be_searched(changes, message):
    with pytest.raises(InputError, match=message):
        search.search_of(study(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (ranges(ranges={"neuron.dleta": [0.01, 1.0]}), "unknown key 'dleta'"),
        (ranges(ranges={"rule.eta_past": [0.01, 0.1]}), "unknown key 'eta_past'; do you mean 'eta_post'"),
        (ranges(ranges={"rule.eta_post": [0.1, 0.01]}), r"search.ranges.rule.eta_post = \[0.1, 0.01\]: .* the smaller"),
        (ranges(ranges={"rule.eta_post": [0.0, 0.01]}), "numbers above 0"),
        (ranges(rungs=[64, 32]), "that grow"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_by_all_commands(changes, message):
    with pytest.raises(InputError, match=message):
        study(**changes)
    assert study(**ranges(ranges={"neuron.delta": [0.05, 1.0]})).search, "of a neuron that is not chosen"


def test_a_cell_takes_the_ranges_of_numbers_that_it_has():
    whole = study(published={"poisson": {"lif": {"stdp": 0.5}}})
    lif = search.of_cell(whole, "poisson", "lif", "stdp")
    assert [(e.encoder, e.neuron, e.rule) for e in lif.entries] == [("poisson", "lif", "stdp")]
    assert search.search_of(lif).ranges == {"rule.eta_post": [1e-3, 1e-1]}
    adaptive = search.of_cell(whole, "poisson", "adaptive_lif", "stdp")
    assert search.search_of(adaptive).ranges == search.search_of(whole).ranges
    assert adaptive.entries == whole.entries[1:]


def test_a_cell_that_cannot_be_searched():
    theta = ranges(ranges={"neuron.adaptation.theta_plus": [0.05, 1.0]})
    with pytest.raises(InputError, match="poisson x lif x stdp has none of the numbers in search.ranges: neuron.adapt"):
        search.of_cell(study(**theta), "poisson", "lif", "stdp")
    with pytest.raises(InputError, match="unknown cell 'poisson x fil x stdp'; do you mean 'poisson x lif x stdp'"):
        search.of_cell(study(), "poisson", "fil", "stdp")
    nowhere = ranges(ranges={"neuron.delta": [0.05, 1.0], "rule.eta_post": [1e-3, 1e-1]})
    with pytest.raises(InputError, match="search.ranges.neuron.delta: no cell has this number"):
        search.of_cell(study(**nowhere), "poisson", "lif", "stdp")
