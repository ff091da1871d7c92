"""experiments/benchmark.py: what it makes of measurements, and one real measurement of a tiny network."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from jsnn import data
from jsnn.core.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

import benchmark
from rivals.cases import ALONE, CASES, PLAIN, Case
from rivals.report import figure, limit, row, summary, table

CASE = Case("online-n100", "two_layer", "bindsnet")
COUNTED = {
    "synaptic_events": 1000.0,
    "neuron_updates": 200.0,
    "add_seconds": 1e-9,
    "byte_seconds": 1e-10,
    "update_seconds": 5e-9,
}


def own(per_second, **more):
    return {"per_second": per_second, "device": "cpu", "jsnn": "0.1.0"} | COUNTED | more


def peer(per_second):
    return {"per_second": per_second, "version": "1.0", "threads": 1}


def test_limit_takes_the_larger_of_add_and_bytes():
    assert limit(COUNTED) == pytest.approx(1 / (1000 * 1e-9 + 200 * 5e-9))
    assert limit(COUNTED | {"byte_seconds": 1e-9}) == pytest.approx(1 / (1000 * 4e-9 + 200 * 5e-9))
    assert limit({"per_second": 1.0}) is None


def test_medians_spread_and_ratio():
    rounds = [own(100.0, agree=True), own(400.0), own(300.0)]
    record = summary(CASE, rounds, [peer(2.0), peer(4.0), peer(3.0)])
    assert (record["jsnn_per_second"], record["jsnn_spread"]) == (300.0, [100.0, 400.0])
    assert (record["peer_per_second"], record["peer_spread"]) == (3.0, [2.0, 4.0])
    assert (record["ratio"], record["ratio_spread"]) == (100.0, [50.0, 100.0])
    assert (record["peer"], record["peer_version"], record["agree"]) == ("bindsnet", "1.0", True)
    assert record["limit_per_second"] == limit(COUNTED)
    assert record["limit_fraction"] == pytest.approx(300.0 / 500_000)


def test_the_line_of_json_has_what_design_asks_for():
    record = json.loads(json.dumps(summary(CASE, [own(1.0)], [peer(1.0)])))
    wanted = "case shape jsnn_per_second peer peer_version peer_per_second ratio limit_per_second device agree"
    assert set(wanted.split()) <= set(record)
    assert record["shape"] == "784-100, T=250, batch 1"


def test_rounds_are_interleaved():
    calls = []

    def side(name, report):
        return lambda first: calls.append((name, first)) or report

    record = benchmark.run_case(CASE, 3, side("jsnn", own(1.0)), side("rival", peer(1.0)), pytest.fail)
    assert calls == [(name, i == 0) for i in range(3) for name in ("jsnn", "rival")]
    assert record["rounds"] == 3


def test_a_missing_rival_leaves_its_columns_empty():
    record = benchmark.run_case(CASE, 2, lambda first: own(10.0), None, pytest.fail)
    assert [record[k] for k in ("peer", "peer_version", "peer_per_second", "peer_spread", "ratio")] == [None] * 5
    assert record["jsnn_per_second"] == 10.0


def test_a_failing_rival_is_left_out():
    def fails(first):
        raise benchmark.WorkerFailed("bindsnet, online-n100: out of memory")

    warned = []
    record = benchmark.run_case(CASE, 2, lambda first: own(10.0), fails, warned.append)
    assert warned == ["bindsnet, online-n100: out of memory"]
    assert record["peer_per_second"] is None


def test_a_grid_is_compared_with_its_trials_alone():
    case = next(c for c in CASES if c.name == "study-36x5")
    record = summary(case, [{"per_second": 9.0, "device": "cpu"}], [peer(10.0) | {"times_cores": 2}])
    assert (record["peer"], record["ratio"], record["n_trials"]) == ("2 x alone", 0.9, 180)
    assert record["limit_per_second"] is None


def test_table_and_figure_are_drawn_with_and_without_a_rival(tmp_path):
    shown = [c for c in CASES if c.rival in ("bindsnet", ALONE)]
    records = [summary(c, [own(10.0)], [peer(1.0) | {"times_cores": 2}] if i % 2 else []) for i, c in enumerate(shown)]
    assert len(table(records).rows) == len(records)
    assert all(isinstance(text, str) for text in row(records[0]))
    figure(records).savefig(tmp_path / "cost.png", dpi=40)


def test_cases_have_names_of_their_own_and_a_worker():
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        worker = {ALONE: "jsnn", PLAIN: "jsnn_gradient"}.get(case.rival, case.rival)
        assert (benchmark.WORKERS / f"{worker}_worker.py").exists()


def test_patterns_choose_cases_in_order():
    assert [c.name for c in benchmark.chosen(["layers-*", "online-n100"])] == [
        "online-n100",
        "layers-h100",
        "layers-h400",
    ]
    assert benchmark.chosen(None) == list(CASES)


@pytest.mark.parametrize("given", ["spam=python", "bindsnet", "bindsnet=/nowhere/python", f"bindsnet={sys.executable}"])
def test_bad_rivals_are_refused_in_one_line(given):
    with pytest.raises(InputError, match="--rival") as refused:
        benchmark.interpreters([given])
    assert "\n" not in str(refused.value)


def test_unknown_cases_and_bad_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="online-n100"):
        benchmark.chosen(["onlin"])
    with pytest.raises(InputError, match="cannot write"):
        benchmark.writable(tmp_path / "nowhere" / "runs.jsonl")


def test_a_worker_that_fails_says_why(tmp_path):
    order = {"folder": str(tmp_path), "name": "none", "kind": "two_layer"}
    with pytest.raises(benchmark.WorkerFailed, match="jsnn, none: KeyError"):
        benchmark.measure(sys.executable, "jsnn", order, own=True)


def test_jsnn_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "xla"))
    np.save(tmp_path / "images.npy", data.load("mnist_excerpt").train_images[:16])
    case = dataclasses.replace(CASE, n=12, steps=50, block=8, burn_in=8)
    report = benchmark.measure(sys.executable, "jsnn", benchmark.order_of(case, tmp_path, 0.1, True), own=True)
    assert report["per_second"] > 0 and report["agree"] is True and report["agree_on"] == 3
    assert report["synaptic_events"] >= 12 * report["input_spikes"] > 0
    assert report["neuron_updates"] == 12 * 50
    record = summary(case, [report], [])
    assert record["limit_per_second"] > 0
    left = benchmark.order_of(case, tmp_path, 0.1, False)
    with np.load(left["learned"]) as file:
        assert file["weights"].shape == (784, 12)
    assert left["check"] == 0


def measured_by_gradients(folder, case, **more):
    excerpt = data.load("mnist_excerpt")
    np.save(folder / "images.npy", excerpt.train_images[:16])
    np.save(folder / "labels.npy", excerpt.train_labels[:16])
    order = benchmark.order_of(case, folder, 0.1, True) | more
    return benchmark.measure(sys.executable, "jsnn_gradient", order, own=True)


def test_chunks_are_measured_beside_the_same_network_without_them(tmp_path, monkeypatch):
    """Which fires as often, and holds more."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "xla"))
    case = next(c for c in CASES if c.rival == PLAIN)
    case = dataclasses.replace(case, n=8, steps=200, batch=2, chunk=20)
    chunked, plain = (measured_by_gradients(tmp_path, case, plain=plain) for plain in (False, True))
    assert chunked["output_spikes"] == pytest.approx(plain["output_spikes"], rel=1e-3) and plain["output_spikes"] > 0
    record = summary(case, [chunked], [plain])
    assert (record["shape"], record["unit"]) == ("784-8-10, T=200, batch 2", "passes")
    assert record["memory_ratio"] == chunked["temp_mib"] / plain["temp_mib"]
    assert record["limit_per_second"] is None


@pytest.mark.parametrize("constant", [False, True])
def test_trainings_are_measured(tmp_path, monkeypatch, constant):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "xla"))
    case = next(c for c in CASES if c.kind == "training" and c.constant == constant)
    report = measured_by_gradients(tmp_path, dataclasses.replace(case, n=8, steps=5, batch=4))
    assert report["per_second"] > 0 and report["loss"] > 0 and report["hidden_spikes"] > 0
