"""A run that is read back is what it says: its config, its data, its states and its results belong together, what is
not finished says so, and reading changes nothing.
"""

import copy
import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from jsnn import data, runs
from jsnn.core import sealed
from jsnn.core.errors import InputError
from jsnn.runs import checkpoint, config, results

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
import console
import diagnose
import evaluate
import figures
import images
import matrix
import prices
import tune

STUDY = {
    "study": "small",
    "data": {"n_train": 48, "n_assign": 24, "n_test": 16, "n_validation": 40},
    "run": {"n_steps": 15, "engine": "dense", "curve_points": 4, "checkpoint_seconds": 0.0, "readout": "accumulated"},
    "network": {"n_neurons": 5},
}
GRADIENTS = {
    "study": "gradients",
    "data": {"n_train": 40, "n_test": 20},
    "run": {"n_steps": 2, "batch_size": 20, "curve_points": 2},
    "matrix": {"encoder": ["direct"], "neuron": ["unit_lif"], "rule": ["bptt"]},
    "network": {"architecture": "5-10"},
}


class Watcher:
    """An observer that interrupts a run after so many windows."""

    def __init__(self, windows=99):
        self.left = windows

    def interim(self, *arguments):
        self.left -= 1

    def progress(self, n):
        if self.left < 1:
            raise KeyboardInterrupt

    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.fixture(scope="module")
def excerpt():
    return data.load("mnist_excerpt")


@pytest.fixture(scope="module")
def made(excerpt, tmp_path_factory):
    """A run by plasticity, on held-out training images."""
    out = tmp_path_factory.mktemp("plastic") / "run"
    runs.run(config.parse(STUDY), excerpt.held_out(40), out, Watcher())
    return out


@pytest.fixture
def run(made, tmp_path):
    """A copy of it to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture(scope="module")
def by_gradients(excerpt, tmp_path_factory):
    """A run by gradients, of what it takes for recordings."""
    out = tmp_path_factory.mktemp("gradients") / "run"
    recordings = dataclasses.replace(excerpt, name="nmnist")
    runs.run(config.parse(GRADIENTS), recordings, out, Watcher())
    return out


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """A command in this process: its exit code, and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")

    def command(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        code = 0
        try:
            console.command(main)
        except SystemExit as exit:
            code = exit.code
        out, err = capsys.readouterr()
        return code, out, err

    return command


def refused(found):
    code, out, err = found
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1 and not out, found
    return err


def contents(directory):
    return {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def edit(run, forge=False, **changes):
    """Change config.json by hand; `forge` gives it a checksum that holds."""
    path = run / "config.json"
    begun = json.loads(path.read_text())
    begun["tables"]["run"] |= changes
    if forge:
        del begun["sha256"]
        path.write_text(sealed.dumps(begun))
    else:
        path.write_text(json.dumps(begun, indent=1))


def test_what_a_run_answers_again_is_what_its_results_say(made, excerpt, command):
    (line,) = runs.read_lines(made)
    assert line["split"] == "validation" and line["accuracy"] == line["readouts"]["accumulated"]
    trained = runs.load_trained(made, pytest.fail)
    own = images.of_run(made, trained.cfg, trained.data, None)
    schedule = evaluate.schedule_of(trained.cfg, own, None, None)
    assert evaluate.answers(trained, own, schedule, lambda n: None) == [[line["readouts"]]]
    code, out, _ = command(evaluate.main, made)
    assert code == 0 and "mnist_excerpt, 16 held-out training images; labels from 24 training images" in out
    assert all(f"{100 * accuracy:.1f}" in out for accuracy in line["readouts"].values())


def test_test_images_are_asked_for(made, excerpt, command):
    code, out, _ = command(evaluate.main, made, "--split", "test", "--n-test", "20")
    assert code == 0 and "mnist_excerpt, 20 test images" in out
    trained = runs.load_trained(made, pytest.fail)
    own = images.of_run(made, trained.cfg, trained.data, None, "test")
    np.testing.assert_array_equal(own.test_images, excerpt.test_images)
    np.testing.assert_array_equal(own.train_images, excerpt.train_images[:-40])  # held-out ones label nothing


@pytest.mark.parametrize("numbers", ["--n-assign 0", "--n-assign 49", "--n-test 0", "--n-test -1", "--n-test 41"])
def test_numbers_of_images(made, command, numbers):
    name, value = numbers.split()
    error = refused(command(evaluate.main, made, name, value))
    assert error.startswith(f"error: {name} {value}: it should be from 1 to ")


@pytest.mark.parametrize("main", [evaluate.main, figures.main, diagnose.main])
def test_reading_a_run_writes_nothing_into_it(main, made, command, tmp_path):
    before = contents(made)
    code, _, err = command(main, made)
    assert code == 0 and contents(made) == before, err
    assert [p.name for p in tmp_path.glob("*/*")] == ["run"] * (main is figures.main)


def test_a_diagnosis_is_written_where_it_is_asked_for(made, command, tmp_path):
    code, out, _ = command(diagnose.main, made, "--n", "10", "--out", tmp_path / "x.jsonl")
    assert code == 0 and "10 held-out training images; accuracy from its results, on 16 images" in out
    (line,), (result,) = results.read(tmp_path / "x.jsonl"), runs.read_lines(made)
    assert line["accuracy"] == result["accuracy"] and line["split"] == "validation"
    assert "from 1 to 40" in refused(command(diagnose.main, made, "--n", "41"))


@pytest.fixture
def toml(tmp_path, monkeypatch):
    """The config of the run by plasticity, for a command in this process."""
    monkeypatch.setattr("jsnn.grid.host.use_cores", lambda n: None)
    tables = {name: table for name, table in STUDY.items() if isinstance(table, dict)}
    numbers = [f"{name}.{key} = {value!r}" for name, table in tables.items() for key, value in table.items()]
    (tmp_path / "study.toml").write_text("\n".join(["study = 'small'", *numbers]))
    return tmp_path / "study.toml"


def test_a_run_that_is_there_is_refused_before_anything_else_is_said(made, toml, command):
    assert "already holds a run; add --resume" in refused(command(matrix.main, toml, "--out", made))


def test_a_search_that_is_there_is_refused_before_anything_else_is_said(made, toml, command):
    (toml.parent / "search").mkdir()
    (toml.parent / "search" / "rung-0").symlink_to(made)
    toml.write_text(toml.read_text() + "\n[search.ranges]\n'rule.eta_post' = [0.01, 0.1]\n")
    refused(command(tune.main, toml, "--out", toml.parent / "search"))


def test_a_stop_while_figures_are_drawn_says_that_results_are_complete(run, toml, command, monkeypatch):
    def draw(where, dataset, warn):
        raise KeyboardInterrupt

    monkeypatch.setattr(figures, "draw", draw)
    code, _, err = command(matrix.main, toml, "--out", run, "--resume")
    assert code == 130, err
    assert err.splitlines()[-1] == (
        f"interrupted; results are complete, figures are not drawn: experiments/figures.py {run} "
        f"--out {run}/figures, or --resume"
    )


@pytest.mark.parametrize("main", [evaluate.main, figures.main, diagnose.main])
@pytest.mark.parametrize("forge", [False, True])
def test_an_edited_config_is_refused(main, forge, run, command):
    edit(run, forge, n_steps=45)
    message = refused(command(main, run))
    assert ("is of another config" if forge else "its checksum does not hold") in message


def test_an_edited_config_is_not_gone_on_with(run, excerpt):
    edit(run, forge=True, n_steps=45)
    changed = copy.deepcopy(STUDY)
    changed["run"]["n_steps"] = 45
    with pytest.raises(InputError, match="results.jsonl:1: it is of another config than"):
        runs.run(config.parse(changed), excerpt.held_out(40), run, Watcher(), resume=True)
    (run / "results.jsonl").unlink()
    with pytest.raises(InputError, match="state/lane-000/4 is of another config or other data than"):
        runs.run(config.parse(changed), excerpt.held_out(40), run, Watcher(), resume=True)


@pytest.fixture(scope="module")
def made_of_two(excerpt, tmp_path_factory):
    """A run of two lanes."""
    tables = copy.deepcopy(STUDY) | {"sweep": {"run.n_steps": [4, 5]}}
    out = tmp_path_factory.mktemp("lanes") / "run"
    runs.run(config.parse(tables), excerpt.held_out(40), out, Watcher())
    return out


@pytest.fixture
def swept(made_of_two, tmp_path):
    """A copy of it to be damaged."""
    return Path(shutil.copytree(made_of_two, tmp_path / "swept"))


def test_the_state_of_another_lane_is_refused(swept, excerpt, command):
    runs.load_trained(swept, pytest.fail)
    one, other, aside = (swept / "state" / name for name in ("lane-000", "lane-001", "aside"))
    for before, after in ((one, aside), (other, one), (aside, other)):
        before.rename(after)
    message = refused(command(evaluate.main, swept))
    assert "state/lane-000/4 is of the trials [[1]] of its study and should be of [[0]]" in message
    cfg = runs.config_of(swept)
    with pytest.raises(InputError, match=r"is of the trials \[\[1\]\]"):
        runs.run(cfg, excerpt.held_out(40), swept, Watcher(), resume=True)


def test_lines_are_those_of_the_trials_each_once(swept, command):
    path = swept / "results.jsonl"
    one, other = path.read_bytes().splitlines(keepends=True)
    readers = ((figures.main, swept), (diagnose.main, swept), (prices.main, swept, "--out", swept.parent / "x.png"))
    for lines, what in (
        ([one, other, one, other], "it has 4 lines and should have one of [0, 1, 2]"),
        ([one, one], "results.jsonl:2: it should be the line of {"),
        ([other, one], "results.jsonl:1: it should be the line of {"),
        ([other], "results.jsonl:1: it should be the line of {"),
    ):
        path.write_bytes(b"".join(lines))
        for main, *arguments in readers:
            assert what in refused(command(main, *arguments))
    path.write_bytes(one)
    with pytest.raises(InputError, match="has the lines of 1 of 2 trials"):
        runs.read_lines(swept)
    code, _, err = command(prices.main, swept, "--out", swept.parent / "x.png")
    assert code == 0 and "has the lines of 1 of 2 trials" in err


def test_an_unfinished_run_says_so(excerpt, command, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        runs.run(config.parse(STUDY), excerpt.held_out(40), out, Watcher(1))
    code, shown, _ = command(evaluate.main, out)
    assert (
        code == 4
        and re.search(r"the networks of lane 0 are those after window [12] of 4", shown)
        and " window " in shown
    )
    assert refused(command(figures.main, out)).startswith(f"error: {out} has no results")


def test_an_older_state_says_so(run, command, tmp_path):
    """It stands in for a damaged one, but its fields are not drawn beside accuracies of the end."""
    for path in (run / "state" / "lane-000" / "4" / "arrays").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[::-1])
    code, out, err = command(evaluate.main, run)
    assert code == 4 and "after window 3 of 4" in out and "4 is damaged" in err
    code, out, err = command(diagnose.main, run)
    assert code == 4 and "after window 3 of 4" in out
    code, out, err = command(figures.main, run)
    assert code == 4 and "no receptive fields, thresholds and presentation: the networks of lane 0 are those" in err
    assert {p.name for p in (tmp_path / "figures" / "run").iterdir()} == {
        "confusion.png",
        "accuracy.png",
        "learning_curves.png",
    }


def test_a_state_that_a_running_run_takes_away_is_read_again(made, run, monkeypatch):
    """While a reader is at it, the run may write two more checkpoints and remove the one that is being read."""
    restore, directory = checkpoint.ocp.Checkpointer.restore, run / "state" / "lane-000"
    (directory / "4").rename(directory / "4.old")

    def late(self, path, *arguments):
        if path.name == "3" and (directory / "3").exists():
            (directory / "3").rename(directory / "3.old")
            (directory / "4.old").rename(directory / "4")
        return restore(self, path, *arguments)

    monkeypatch.setattr(checkpoint.ocp.Checkpointer, "restore", late)
    assert not runs.load_trained(run, pytest.fail).unfinished


def test_networks_are_shown_their_own_data_alone(excerpt, tmp_path, command):
    """Iris for MNIST, Fashion-MNIST or others under the same name: never."""
    tables = copy.deepcopy(STUDY) | {"data": {"n_train": 48, "n_assign": 24, "n_test": 16}}
    tables["network"] = {"n_neurons": 5, "n_input": 32}
    images = excerpt.train_images[:64, 300:332], excerpt.test_images[:16, 300:332]
    labels = excerpt.train_labels[:64], excerpt.test_labels[:16]
    for name, message in (
        ("iris", "is of a data set of its own, 'iris'"),
        ("mnist", "mnist_excerpt is not what"),
        ("fashion_mnist", "--data-dir should hold the files of fashion_mnist"),
    ):
        own = data.Dataset(name, images[0], labels[0], images[1], labels[1])
        runs.run(config.parse(tables), own, tmp_path / name, Watcher())
        for main in (evaluate.main, figures.main, diagnose.main):
            assert message in refused(command(main, tmp_path / name))


def test_other_images_under_the_same_name(made, excerpt, command, monkeypatch):
    pixels = excerpt.train_images.copy()
    pixels[3, 400] ^= 1
    monkeypatch.setattr(data, "load", lambda *arguments: dataclasses.replace(excerpt, train_images=pixels))
    assert "its images and labels are others" in refused(command(evaluate.main, made))


@pytest.mark.slow
def test_the_excerpt_says_that_it_stands_in(excerpt, command, tmp_path):
    tables = copy.deepcopy(STUDY) | {"data": {"name": "mnist", "n_train": 48, "n_assign": 24, "n_test": 16}}
    runs.run(config.parse(tables), dataclasses.replace(excerpt, name="mnist"), tmp_path / "run", Watcher())
    code, out, _ = command(evaluate.main, tmp_path / "run", "--n-test", "10")
    assert code == 0 and "mnist_excerpt, 10 test images" in out and images.STANDS_IN in out
    code, _, err = command(figures.main, tmp_path / "run")
    assert code == 0 and images.STANDS_IN in err


def test_figures_of_recordings_need_no_images(by_gradients, command, tmp_path):
    code, out, err = command(figures.main, by_gradients)
    assert code == 0 and {p.name for p in (tmp_path / "figures" / "run").iterdir()} == {"confusion.png", "progress.png"}
    assert "learn by plasticity" in refused(command(diagnose.main, by_gradients))
    assert "--data-dir should hold the files of nmnist" in refused(command(evaluate.main, by_gradients))
    assert "held no training images out" in refused(command(evaluate.main, by_gradients, "--split", "validation"))


@pytest.mark.parametrize("main", [evaluate.main, figures.main, diagnose.main])
@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"a":' * 100_000, b"[]", b"", b'{"tables": {}, "data": 3}', b'{"x": 1e999}', b'{"x": NaN}'],
)
def test_a_config_that_is_none(main, content, run, command):
    (run / "config.json").write_bytes(content)
    assert f"{run}/config.json is damaged: " in refused(command(main, run))


def test_a_run_of_before(run, command):
    """Its config.json has no checksum, its states and results no hashes: refused, in one line."""
    begun = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({"tables": begun["tables"], "data_sha256": begun["data"]["sha256"]}))
    assert "it has no checksum, as of an older jsnn" in refused(command(evaluate.main, run))


def test_infinite_numbers_in_a_study_come_back(excerpt, tmp_path):
    tables = copy.deepcopy(STUDY) | {"sweep": {"rule": {"w_max": [float("inf")]}}}
    lines = runs.run(config.parse(tables), excerpt.held_out(40), tmp_path / "run", Watcher())
    for name in ("config.json", "results.jsonl"):
        for text in (tmp_path / "run" / name).read_text().split("\n" if name == "results.jsonl" else "\0"):
            assert not text or json.loads(text, parse_constant=pytest.fail)
    assert runs.read_config(tmp_path / "run")["tables"] == tables
    assert [line["overrides"]["rule.w_max"] for line in runs.read_lines(tmp_path / "run")] == [float("inf")]
    assert runs.run(config.parse(tables), excerpt.held_out(40), tmp_path / "run", Watcher(), resume=True) == lines
