"""Grids over devices: the same results on any number of them; and the choice of the fastest way to train."""

import dataclasses
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jsnn import data
from jsnn.core.errors import InputError
from jsnn.engines import event
from jsnn.grid import groups, host, layout
from jsnn.grid.groups import Schedule, Way
from jsnn.grid.layout import Layout
from jsnn.learners.plasticity import autotune, plans
from jsnn.runs import config

ROOT = Path(__file__).parent.parent
STUDY = """
study = "grid"
[data]
name = "mnist_excerpt"
n_train = 40
n_assign = 24
n_test = 24
[run]
n_steps = 20
dt = 5.0
engine = "dense"  # compiles in the shortest time
curve_points = 2
[matrix]
neuron = ["adaptive_lif", "if"]
[network]
n_neurons = 10
[sweep]
"run.seed" = [0, 1, 2]
"""


def results_on(tmp_path, n_devices, *arguments):
    """The results of the study on so many host devices, in a process of its own."""
    toml = tmp_path / "study.toml"
    toml.write_text(STUDY)
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={n_devices}",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path.parent / "xla"),
    }
    command = [sys.executable, str(ROOT / "experiments" / "matrix.py"), str(toml), "--out", str(out), "--no-figures"]
    done = subprocess.run([*command, "--no-clock", *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


CELL = ["--set", 'matrix.neuron=["adaptive_lif"]']
ALONE = [*CELL, "--set", "run.grid=map", "--set", "run.engine=event"]


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    """The three trials of one cell, on one device."""
    return results_on(tmp_path_factory.mktemp("one"), 1, *ALONE)


@pytest.mark.slow
def test_sharded_trials_that_do_not_divide(tmp_path, one_by_one):
    """Three trials of one cell on two devices."""
    one, two = one_by_one, results_on(tmp_path, 2, *ALONE)
    assert len(one) == 3 and one == two
    assert len({json.dumps(record["neuron_labels"]) for record in one}) == 3


@pytest.mark.slow
def test_cells_with_devices_of_their_own(tmp_path):
    """Two cells of three trials on two devices."""
    one, two = results_on(tmp_path, 1), results_on(tmp_path, 2)
    assert len(one) == 6 and one == two


ONE = [*CELL, "--set", "sweep.run.seed=[0]"]


@pytest.mark.slow
def test_one_trial_on_two_devices(tmp_path):
    """One encodes what the other learns from; both answer: not a byte is different."""
    sparse = [*ONE, "--set", "run.engine=sparse"]
    one, two = results_on(tmp_path, 1, *sparse), results_on(tmp_path, 2, *sparse)
    assert len(one) == 1 and one == two


@pytest.mark.slow
def test_a_batch_on_two_devices(tmp_path):
    """They share the presentations of each batch: the same up to rounding."""
    batched = [*ONE, "--set", "run.batch_size=8", "--set", "network.lockstep=false", "--set", "run.engine=event"]
    (one,), (two,) = results_on(tmp_path, 1, *batched), results_on(tmp_path, 2, *batched)
    assert one["output_spikes"] > 1 and one["output_spikes"] == pytest.approx(two["output_spikes"], rel=0.1)
    assert one["input_spikes"] == two["input_spikes"] and one["neuron_labels"] == two["neuron_labels"]


@pytest.mark.slow
def test_trials_at_once(tmp_path, one_by_one):
    """By vmap, up to rounding."""
    one, at_once = one_by_one, results_on(tmp_path, 1, *ALONE, "--set", "run.grid=vmap")
    for a, b in zip(one, at_once, strict=True):
        assert abs(a["accuracy"] - b["accuracy"]) <= 2 / 24 and a["input_spikes"] == b["input_spikes"]


def test_which_devices(monkeypatch):
    devices = ["a", "b", "c", "d"]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    shared = layout.layouts(1, 1, 8)[0]
    assert shared.split and list(shared.devices) == devices  # nothing else to do: they share a batch
    assert not layout.layouts(1, 1, 6)[0].split and not layout.layouts(4, 1, 8)[0].split
    for n_trials, n_cells, used in (
        (1, 1, [["a"]]),
        (8, 1, [devices]),
        (8, 12, [devices] * 12),  # nobody idle in either way: all trials of a cell together
        (5, 4, [["a"], ["b"], ["c"], ["d"]]),  # better than five trials on four devices
        (1, 3, [["a"], ["b"], ["c"]]),
        (3, 1, [["a", "b", "c"]]),
    ):
        assert [list(layout.devices) for layout in layout.layouts(n_trials, n_cells)] == used


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_layout_maps(at_once):
    layout = Layout(tuple(jax.devices()[:1]), at_once)
    x, y = np.arange(5.0), np.arange(10.0).reshape(5, 2)
    out = jax.jit(lambda x, y: layout.map(lambda a, b: (a * 2, b.sum()), x, y))(x, y)
    np.testing.assert_allclose(out[0], x * 2)
    np.testing.assert_allclose(out[1], y.sum(axis=1))


def test_cores_are_asked_for_once(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1")
    host.use_cores(1)
    assert os.environ["XLA_FLAGS"] == "--xla_a=1"
    host.use_cores(3)
    flags = os.environ["XLA_FLAGS"]
    assert flags.startswith("--xla_a=1 --xla_force_host_platform_device_count=3 ")
    host.use_cores(5)
    assert os.environ["XLA_FLAGS"] == flags


FAULTS = """
import resource
from jsnn.grid import host

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"1" * 2**26
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

returned = pages(), pages()
host.keep_memory()
print(*returned, pages(), pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it tells glibc")
def test_freed_memory_is_kept():
    printed = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    *cleared, kept = map(int, printed.split())  # pages that the system cleared in each of four calls
    assert 10 * kept < min(cleared)


# --- the choice


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    path = tmp_path_factory.mktemp("grid") / "study.toml"
    path.write_text(STUDY.replace('neuron = ["adaptive_lif", "if"]', 'neuron = ["adaptive_lif"]'))
    (lane,) = groups.plan([entry.trial for entry in config.load(path).entries])
    return lane


def test_ways(online):
    (cell,) = online.cells
    assert plans.ways(cell) == [Way(engine, k) for engine in ("event", "sparse", "dense") for k in (1, 3)]
    assert plans.ways(cell, "dense", "map") == [Way("dense")]
    assert plans.ways(cell, "event", "vmap") == [Way("event", 3)]
    assert plans.ways(cell, "event", 2) == [Way("event", 2)] and plans.ways(cell, "event", 5) == [Way("event", 3)]
    inputs = dataclasses.replace(cell.trials.inputs, batch_size=4)
    batched = dataclasses.replace(cell, trials=dataclasses.replace(cell.trials, inputs=inputs))
    assert plans.ways(batched, grid="map") == [Way("dense")]
    refused = 'run.engine = "event": it learns from batches of 4 in lockstep; choose "dense" or "auto"'
    with pytest.raises(InputError, match=refused):
        plans.ways(batched, "event")


def test_why_an_engine_is_not_taken_is_said(online, monkeypatch):
    (cell,) = online.cells
    assert plans.refusals(cell) == {}
    monkeypatch.setattr(event, "refusal", lambda network: "its rule is not local")
    assert plans.refusals(cell) == {"event": "its rule is not local"}
    assert {way.engine for way in plans.ways(cell)} == {"ahead", "sparse", "dense"}
    with pytest.raises(InputError, match='run.engine = "event": its rule is not local'):
        plans.ways(cell, "event")


def test_the_fastest_way_is_chosen_and_kept(online, monkeypatch, tmp_path):
    fast, slow = Way("dense"), Way("event")
    measured = []

    def rates(lane, data, state, c, ways):
        measured.append(ways)
        return {way: 300.0 if way == fast else 100.0 for way in ways}

    monkeypatch.setattr(autotune, "rates", rates)
    kept, excerpt, state = tmp_path / "deep" / "ways.json", data.load("mnist_excerpt"), plans.start(online, 10)
    long = Schedule(n_train=5000, n_assign=1, n_test=1)

    def choose(schedule=long, ways=(slow, fast)):
        return autotune.choose(online, excerpt, schedule, state, 0, list(ways), kept)

    assert choose(Schedule(n_train=100, n_assign=1, n_test=1)) == (slow, "")  # not worth it
    assert choose(ways=(slow,)) == (slow, "") and not measured
    assert choose() == (fast, "event 100/s, dense 300/s")
    assert choose() == (fast, "measured before") and len(measured) == 1
    assert choose(ways=(slow, Way("event", 3)))[0] == slow and len(measured) == 2  # what was kept is not among them
    name = autotune.key(online.cells[0])
    damaged = [
        "",
        "{",
        "[]",
        "3",
        '"x"',
        "[" * 100_000,
        f'{{"{name}": 3}}',
        f'{{"{name}": "fast"}}',
        f'{{"{name}": []}}',
    ]
    for n, content in enumerate(damaged, 3):
        kept.write_text(content)
        assert choose() == (fast, "event 100/s, dense 300/s") and len(measured) == n
        assert choose() == (fast, "measured before") and list(kept.parent.iterdir()) == [kept]
    kept.write_text('{"another": "event", "and": 3}')
    assert choose()[0] == fast and json.loads(kept.read_text()) == {"another": "event", name: "dense"}
    kept.unlink()
    kept.mkdir()
    assert choose() == (fast, "event 100/s, dense 300/s") and list(kept.parent.iterdir()) == [kept]
    kept.rmdir()
    choose()
    monkeypatch.setattr(autotune, "rates", lambda *a: {slow: 100.0, fast: 110.0})
    kept.unlink()
    assert choose()[0] == slow  # the difference is noise


@pytest.mark.slow
def test_a_real_measurement(online):
    ways = [Way("event"), Way("dense")]
    found = autotune.rates(online, data.load("mnist_excerpt"), plans.start(online, 10), 0, ways)
    assert set(found) == set(ways) and min(found.values()) > 0
