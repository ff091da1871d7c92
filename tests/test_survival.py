"""A study survives what can happen to it: kill -9, Ctrl-C, damaged files, a full disk; its results do not show it.

Bit-identical means: the bytes of results.jsonl, and the last state of every lane (weights, thresholds, labels,
curves). Most interruptions happen to forked processes (tests/victim.py); going on from them is done here, where
everything is compiled.
"""

import dataclasses
import functools
import hashlib
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from victim import tripwire

from jsnn import data, runs
from jsnn.core import sealed
from jsnn.core.errors import InputError
from jsnn.core.files import LOCK
from jsnn.grid import groups
from jsnn.learners.plasticity import plans
from jsnn.runs import checkpoint, config, results

ROOT = Path(__file__).parent.parent
LEFTOVER = re.compile(r"unfinished|orbax-checkpoint-tmp|\.old\b")
STUDY = """
study = "survival"
[data]
name = "mnist_excerpt"
n_train = 32
n_assign = 24
n_test = 16
[run]
batch_size = 4
n_steps = 25
epochs = 2
curve_points = 4
checkpoint_seconds = 0.0
[matrix]
encoder = ["poisson", "bernoulli"]
neuron = ["adaptive_lif", "lif"]
[network]
n_neurons = 12
[sweep.run]
seed = [2, 3]
dt = [1.0]
[ann]
n_hidden = 8
batch_size = 8
"""
WINDOWS, LANES, PER_LANE = 8, 2, 4
WINDOW = 8 * PER_LANE  # presentations of one lane in one window
ANSWER = (24 + 16) * PER_LANE


class Watcher:
    """An observer that counts presentations, keeps warnings, and may stop the run."""

    def __init__(self, stop_at=None):
        self.presentations, self.before, self.warnings, self.stop_at = 0, 0, [], stop_at

    def lane(self, number, entries, presentations):
        pass

    def phase(self, what, presentations=0):
        pass

    def earlier(self, n):
        self.before += n

    def progress(self, n):
        if self.stop_at is not None and self.presentations >= self.stop_at:
            raise KeyboardInterrupt
        self.presentations += n

    def interim(self, entry, seen, measured):
        pass

    def finished(self, record):
        pass

    def chose(self, condition, way, why):
        pass

    def warn(self, message):
        self.warnings.append(message)


@pytest.fixture(scope="module")
def new_directory():
    """Makes directories; in memory if there is room, where a checkpoint does not wait for a disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**29
    with tempfile.TemporaryDirectory(prefix="jsnn-", dir=memory if roomy else None) as path:
        yield lambda: Path(tempfile.mkdtemp(dir=path))


@pytest.fixture
def tmp_path(new_directory):
    path = new_directory()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def settings(new_directory):
    """The study, its data, and one cache of compiled programs for all processes."""
    path = new_directory()
    cache, toml = path / "cache", path / "study.toml"
    toml.write_text(STUDY)
    environment = {"JAX_COMPILATION_CACHE_DIR": str(cache), "GIT_DIR": str(path)}  # no commit may change it meanwhile
    before = {key: os.environ.get(key) for key in environment}
    options = {"jax_compilation_cache_dir": str(cache), "jax_persistent_cache_min_compile_time_secs": 0.1}
    options_before = {key: getattr(jax.config, key) for key in options}
    os.environ.update(environment)
    for key, value in options.items():
        jax.config.update(key, value)
    compilation_cache.reset_cache()
    yield SimpleNamespace(toml=toml, cfg=config.load(toml), data=data.load("mnist_excerpt"))
    for key, value in before.items():
        os.environ.pop(key) if value is None else os.environ.update({key: value})
    for key, value in options_before.items():
        jax.config.update(key, value)
    compilation_cache.reset_cache()


def run(settings, out, stop_at=None, resume=False, clock=False):
    """Run in this process: the watcher, and whether the run came to its end."""
    watcher = Watcher(stop_at)
    try:
        runs.run(settings.cfg, settings.data, out, watcher, resume=resume, clock=clock)
    except KeyboardInterrupt:
        return watcher, False
    return watcher, True


def contents(state):
    """All that a lane has to go on from, but for the clock readings, as bytes by name."""
    state = dataclasses.replace(state, ways=tuple(map(str, state.ways)))
    parts = {f.name: jax.tree.leaves(getattr(state, f.name)) for f in dataclasses.fields(state) if f.name != "timed"}
    arrays = {name: [np.asarray(leaf) for leaf in leaves] for name, leaves in parts.items()}
    return {name: [(a.shape, str(a.dtype), a.tobytes()) for a in leaves] for name, leaves in arrays.items()}


def lanes_of(cfg):
    return groups.plan([entry.trial for entry in cfg.entries])


def last_states(out):
    """The newest state of every lane, which should be whole."""
    lanes = lanes_of(runs.config_of(out))
    return [contents(runs.restore_lane(out, number, lane, pytest.fail)) for number, lane in enumerate(lanes)]


@pytest.fixture(scope="module")
def reference(settings, new_directory):
    """The uninterrupted run."""
    out = new_directory() / "out"
    events = []
    with tripwire(out, lambda event, path: events.append((event, Path(path).name))):
        watcher, ended = run(settings, out)
    assert ended and watcher.presentations == LANES * (WINDOWS * WINDOW + ANSWER) and not watcher.warnings
    written = (out / "results.jsonl").read_bytes()
    return SimpleNamespace(out=out, results=written, states=last_states(out), events=events)


def leftovers(out):
    """Files that only an interrupted write leaves."""
    return [p for p in out.rglob("*") if LEFTOVER.search(p.name)]


def check_same(out, reference):
    """Results and states are those of the uninterrupted run, and nothing else is left."""
    assert (out / "results.jsonl").read_bytes() == reference.results
    assert last_states(out) == reference.states
    for n in range(LANES):  # a kill just before the third newest is removed leaves it
        steps = checkpoint.steps(runs.lane_directory(out, n))
        assert steps[:2] == [WINDOWS, WINDOWS - 1] and len(steps) <= 3
    assert leftovers(out) == []


def go_on(settings, out, reference):
    """Resume in this process, to the very end and the very same results: the watcher."""
    watcher, ended = run(settings, out, resume=True)
    assert ended
    check_same(out, reference)
    return watcher


def files(directory):
    """Every file below a directory: a hash of its contents, and when they were written."""
    paths = sorted(p for p in directory.rglob("*") if p.is_file())
    return {
        str(p.relative_to(directory)): (hashlib.sha256(p.read_bytes()).hexdigest()[:8], p.stat().st_mtime_ns)
        for p in paths
    }


def finished_files(directory):
    """The same without what the next run sweeps away: tensorstore may write on while the process is ending."""
    return {name: file for name, file in files(directory).items() if not LEFTOVER.search(name)}


@pytest.fixture(scope="module")
def at_window(settings, new_directory, reference):
    """Copies of runs that were stopped, by the lane and how many windows of it were done."""

    @functools.cache
    def stopped(lane, window):
        out = new_directory() / "out"
        run(settings, out, stop_at=lane * (WINDOWS * WINDOW + ANSWER) + window * WINDOW)
        newest = checkpoint.steps(runs.lane_directory(out, lane))
        assert newest[:1] == [window] and len(results.read(out / "results.jsonl")) == lane * PER_LANE
        return out

    def copy(lane, window, to):
        return Path(shutil.copytree(stopped(lane, window), to))

    return copy


class Victims:
    """The process of tests/victim.py."""

    def __init__(self, toml):
        # JAX is imported before `console.prepare_jax` can quieten it: of some CPUs XLA says, whenever it reloads a
        # program, that they lack a feature which is a preference of its own. A full compilation cache says so, too.
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore::UserWarning"}
        self.toml = toml
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "victim.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout.readline() == "ready\n"

    def run(self, out, *arguments, **request):
        """Run the command until it ends or is killed: its exit code (or minus the signal), stdout and stderr."""
        log = out.parent / "log"
        argv = [str(self.toml), "--out", str(out), "--no-clock", "--no-figures", *arguments]
        self.process.stdin.write(json.dumps({"argv": argv, "log": str(log), "out": str(out), **request}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return SimpleNamespace(**answer, out=log.read_text(), err=Path(f"{log}.err").read_text())

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def victims(settings, reference):  # after the reference, whose compiled programs it uses
    victims = Victims(settings.toml)
    yield victims
    victims.close()


def real_command(settings, out, *arguments):
    """The command itself, in a process of its own: also without what JAX's import has put into our environment."""
    return subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "experiments" / "matrix.py"),
            *(str(settings.toml), "--out", str(out), "--no-clock", "--no-figures", *arguments),
        ],
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- the study itself


def test_the_study_would_show_a_difference(settings, reference):
    records = [json.loads(line) for line in reference.results.splitlines()]
    assert len(records) == LANES * PER_LANE + 1 and records[-1]["rule"] == "backprop"
    assert not any(field in record for record in records for field in runs.CLOCK_FIELDS)
    spiking = records[:-1]
    assert all(len(record["curve"]) == WINDOWS - 1 for record in spiking)
    # Labels of every window count: each later point is some network's answer by them.
    assert all(any(record["curve"][i][1] > 0 for record in spiking) for i in range(WINDOWS - 1))
    lanes = lanes_of(settings.cfg)
    assert len(lanes) == LANES and [len(lane.cells) for lane in lanes] == [2, 2]
    for lane, state in zip(lanes, reference.states, strict=True):
        untrained = contents(plans.start(lane, 10))
        assert state.keys() == untrained.keys() >= {"learned", "labels", "curves", "window"}
        assert [name for name in state if state[name] == untrained[name]] == ["ways", "measured"]
        weights = zip(state["learned"][::2], untrained["learned"][::2], strict=True)  # a cell
        for trained, before in weights:
            assert trained[0] == before[0] == (2, 784, 12) and trained != before


def test_with_the_clock_everything_else_is_equal(settings, reference, at_window, tmp_path):
    out = at_window(1, 3, tmp_path / "out")
    (out / "results.jsonl").unlink()
    assert run(settings, out, resume=True, clock=True)[1]
    for record, expected in zip(results.trials(out / "results.jsonl"), reference.results.splitlines(), strict=True):
        rate, *seconds = (record.pop(field) for field in runs.CLOCK_FIELDS)
        assert rate > 0 and all(isinstance(x, float) for x in seconds)
        assert record == sealed.loads(expected)
    assert last_states(out) == reference.states


@pytest.mark.parametrize("lane, window", [(0, 1), (0, 8), (1, 5)])
def test_resume_does_only_the_rest(settings, reference, at_window, tmp_path, lane, window):
    watcher = go_on(settings, at_window(lane, window, tmp_path / "out"), reference)
    whole = WINDOWS * WINDOW + ANSWER
    assert watcher.presentations == (LANES - lane) * whole - window * WINDOW
    assert watcher.before == LANES * whole - watcher.presentations
    assert watcher.warnings == []


def test_resuming_a_finished_run_changes_nothing(settings, reference, tmp_path):
    out = Path(shutil.copytree(reference.out, tmp_path / "out"))
    before = files(out)
    watcher = go_on(settings, out, reference)
    assert watcher.presentations == 0 and watcher.before == LANES * (WINDOWS * WINDOW + ANSWER)
    assert files(out) == before


# --- kill -9


def crash_images(settings, reference, tmp_path, how_many):
    """What a kill leaves on the disk just before each of so many changes to a file; and around those of the results."""
    out, images, count = tmp_path / "out", [], 0
    events = enumerate(reference.events)
    chosen = {i for i, (event, name) in events if event == "replace" and name.startswith(".results.jsonl.")}
    chosen |= {1, *(i + 1 for i in chosen)}
    chosen |= set(random.Random(how_many).sample(range(len(reference.events)), how_many))

    def copy(source, target):
        try:
            return shutil.copy2(source, target)
        except FileNotFoundError:  # tensorstore is writing
            return target

    def snapshot(event, path):
        nonlocal count
        if count in chosen:
            images.append(tmp_path / f"image-{count}")
            if out.exists():
                shutil.copytree(out, images[-1], copy_function=copy)
        count += 1

    with tripwire(out, snapshot):
        run(settings, out)
    return images


def check_crash_images(settings, reference, tmp_path, how_many):
    """Each image can be gone on from, without a complaint."""
    images = crash_images(settings, reference, tmp_path, how_many)
    different = {str(sorted(files(image))) for image in images if image.exists()}
    assert len(images) > how_many and len(different) > how_many / 2
    for image in images:
        new = not (image / "config.json").exists()
        warnings = go_on(settings, image, reference).warnings
        assert warnings == ([f"--resume: there was no run in {image}; this starts one"] if new else []), image


def test_a_run_goes_on_from_what_a_kill_leaves(settings, reference, tmp_path):
    check_crash_images(settings, reference, tmp_path, 5)


@pytest.mark.slow
def test_a_run_goes_on_from_what_a_kill_leaves_anywhere(settings, reference, tmp_path):
    check_crash_images(settings, reference, tmp_path, 30)


def phase(out):
    """How far a run is: results written, and the newest checkpoint of each lane."""
    lines = results.read(out / "results.jsonl")
    return len(lines), *(max(checkpoint.steps(runs.lane_directory(out, n)), default=0) for n in range(LANES))


def test_three_kills(settings, reference, victims, tmp_path):
    out = tmp_path / "out"
    process = real_command(settings, out)
    while not (runs.lane_directory(out, 0) / "2").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -9 and phase(out)[:2] >= (0, 2) and phase(out)[2] == 0
    rng = random.Random(3)
    for _ in range(2):
        killed = victims.run(out, "--resume", event=rng.randint(20, 80))
        assert killed.code == -9 and killed.err == ""
    go_on(settings, out, reference)


@pytest.mark.slow
def test_a_dozen_kills(settings, reference, victims, tmp_path):
    rng, n_kills, phases, finished = random.Random(20), 0, set(), 0
    out = tmp_path / "out-0"
    while n_kills < 12 or (out / "config.json").exists():
        if n_kills >= 12:
            how = {}
        elif n_kills % 8 == 3:  # the command itself, not a fork
            process = real_command(settings, out, "--resume")
            time.sleep(rng.uniform(0.1, 8.0))
            process.kill()
            error = process.communicate()[1]
            assert error == ""
            n_kills += process.returncode == -9
            phases.add(phase(out))
            continue
        elif n_kills % 2:
            how = {"after": rng.uniform(0.05, 4.0)}
        else:
            how = {"event": rng.randint(1, 60)}
        ended = victims.run(out, "--resume", **how)
        assert ended.code in (0, -9) and ended.err == "" and "damaged" not in ended.out
        n_kills += ended.code == -9
        phases.add(phase(out))
        if ended.code == 0:
            check_same(out, reference)
            finished += 1
            out = tmp_path / f"out-{finished}"
    assert finished >= 1 and len(phases) >= 6, (finished, phases)


def test_killed_before_the_run_had_a_directory(settings, reference, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".config.json.unfinished").write_text('{"tables": {"stu')
    assert go_on(settings, out, reference).warnings == [f"--resume: there was no run in {out}; this starts one"]


@pytest.mark.parametrize("how", [{"event": 60}, {"after": 0.5}])
def test_interrupted_by_the_user(settings, reference, victims, tmp_path, how):
    out = tmp_path / "out"
    ended = victims.run(out, signal=2, **how)
    assert ended.code == 130
    assert ended.err.endswith("interrupted; go on with --resume\n")  # after what JAX's callbacks ignored, if any
    go_on(settings, out, reference)


@pytest.mark.parametrize("how, code, said", [(15, 143, "stopped by SIGTERM"), (1, 129, "stopped by SIGHUP")])
def test_stopped_by_a_cluster(settings, reference, victims, tmp_path, how, code, said):
    out = tmp_path / "out"
    ended = victims.run(out, signal=how, event=60)
    assert ended.code == code
    assert re.fullmatch(rf"(window \d saved, )?{said}; go on with --resume\n", ended.err), ended.err
    go_on(settings, out, reference)


def test_the_last_finished_window_is_saved(settings, reference, tmp_path):
    """Of a run that would not have saved it for long, stopped in the middle of the next."""
    cfg = config.load(settings.toml, ["run.checkpoint_seconds=1000.0"])
    with pytest.raises(KeyboardInterrupt, match="^window 3 saved$"):
        runs.run(cfg, settings.data, tmp_path / "out", Watcher(stop_at=3 * WINDOW + PER_LANE), clock=False)
    assert checkpoint.steps(runs.lane_directory(tmp_path / "out", 0)) == [3]
    runs.run(cfg, settings.data, tmp_path / "out", Watcher(), resume=True, clock=False)
    assert last_states(tmp_path / "out") == reference.states


# --- damaged files


def needed(name):
    """Whether a file of a checkpoint is read: orbax leaves some that are not."""
    return "commit_success" not in name and "_METADATA" not in name and "ocdbt.process_0" not in name


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def emptied(path):
    path.write_bytes(b"")


DAMAGES = {"cut to half": half, "a bit flipped": flipped, "emptied": emptied, "removed": Path.unlink}


def damaged_copies(directory):
    """Damage each file of a directory in each way, one at a time; then all files at once."""
    whole = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    for damage in DAMAGES:
        for name in [*whole, None]:
            for one in whole if name is None else [name]:
                DAMAGES[damage](directory / one)
            yield f"{name or 'every file'} {damage}", name is None or needed(name)
            for one, content in whole.items():
                (directory / one).parent.mkdir(parents=True, exist_ok=True)
                (directory / one).write_bytes(content)


def test_a_damaged_checkpoint_is_noticed_or_was_not_touched(settings, at_window, tmp_path):
    out = at_window(1, 7, tmp_path / "out")
    lane, directory = lanes_of(settings.cfg)[1], runs.lane_directory(out, 1)
    states = {7: contents(runs.restore_lane(out, 1, lane, pytest.fail))}
    shutil.move(directory / "7", tmp_path / "7")
    states[6] = contents(runs.restore_lane(out, 1, lane, pytest.fail))
    shutil.move(tmp_path / "7", directory / "7")
    assert states[6]["window"] != states[7]["window"]
    n_noticed = 0
    for damage, is_needed in damaged_copies(directory / "7"):
        warnings = []
        state = runs.restore_lane(out, 1, lane, warnings.append)
        assert contents(state) == states[6 if warnings else 7], damage
        if is_needed:
            assert len(warnings) == 1, damage
        for warning in warnings:
            assert re.fullmatch(r"checkpoint .*lane-001/7 is damaged \(.+\); going back to the one before", warning)
        n_noticed += len(warnings)
    assert n_noticed >= 5 * len(DAMAGES)


def check_fallback(settings, reference, at_window, tmp_path, select):
    """Runs with a damaged newest checkpoint say so and go on from the one before."""
    source = at_window(1, 7, tmp_path / "source")
    n = 0
    for damage, is_needed in damaged_copies(runs.lane_directory(source, 1) / "7"):
        if select(damage, is_needed):
            out = Path(shutil.copytree(source, tmp_path / f"out-{n}"))
            watcher = go_on(settings, out, reference)
            back = len(watcher.warnings)
            assert back == 1 if is_needed else back <= 1, damage
            assert watcher.presentations == (1 + back) * WINDOW + ANSWER, damage
            n += 1
    return n


def test_a_damaged_newest_checkpoint_is_gone_back_from(settings, reference, at_window, tmp_path):
    def select(damage, is_needed):
        return is_needed and damage.endswith("half") or damage.startswith("arrays/d/") and damage.endswith("flipped")

    assert check_fallback(settings, reference, at_window, tmp_path, select) == 5


@pytest.mark.slow
def test_any_damage_to_the_newest_checkpoint_is_gone_back_from(settings, reference, at_window, tmp_path):
    assert check_fallback(settings, reference, at_window, tmp_path, lambda damage, is_needed: True) > 40


def test_all_checkpoints_damaged_starts_anew(settings, reference, at_window, tmp_path):
    out = at_window(1, 5, tmp_path / "out")
    for step in (5, 4):
        half(runs.lane_directory(out, 1) / str(step) / "meta" / "metadata")
    watcher, ended = run(settings, out, resume=True, stop_at=2 * WINDOW)
    assert not ended and [re.search(r"lane-001/(\d)", warning)[1] for warning in watcher.warnings] == ["5", "4"]
    # What is saved now is gone on from, whatever its number.
    assert checkpoint.steps(runs.lane_directory(out, 1)) == [2, 1]
    watcher = go_on(settings, out, reference)
    assert watcher.warnings == [] and watcher.presentations == 6 * WINDOW + ANSWER


def test_a_damaged_last_checkpoint_of_a_finished_run_is_made_again(settings, reference, tmp_path):
    out = Path(shutil.copytree(reference.out, tmp_path / "out"))
    half(runs.lane_directory(out, 0) / str(WINDOWS) / "meta" / "metadata")
    watcher = go_on(settings, out, reference)
    assert len(watcher.warnings) == 1 and watcher.presentations == WINDOW


def test_results_that_are_lost_are_made_again(settings, reference, tmp_path):
    out = Path(shutil.copytree(reference.out, tmp_path / "out"))
    (out / "results.jsonl").unlink()
    assert go_on(settings, out, reference).presentations == LANES * ANSWER


def test_leftovers_are_ignored_and_removed(settings, reference, at_window, tmp_path):
    out = at_window(1, 5, tmp_path / "out")
    directory = runs.lane_directory(out, 1)
    for name in ("6.unfinished.orbax-checkpoint-tmp", "6.orbax-checkpoint-tmp", "6.unfinished", "3.old"):
        shutil.copytree(directory / "5", directory / name)
        for path in list((directory / name).rglob("*metadata")) + list((directory / name).rglob("manifest*")):
            half(path)
    (directory / "7.unfinished").write_bytes(b"a file")
    (directory / "notes.txt").write_text("mine")
    lines = (out / "results.jsonl").read_bytes()
    (out / ".results.jsonl.unfinished").write_bytes(lines + reference.results[len(lines) : len(lines) + 99])
    watcher = go_on(settings, out, reference)
    assert watcher.warnings == [] and watcher.presentations == 3 * WINDOW + ANSWER
    assert (directory / "notes.txt").read_text() == "mine"


def test_the_checksum_covers_arrays_and_the_rest(tmp_path, monkeypatch):
    arrays = {"learned": [np.arange(6000, dtype=np.float32)], "labels": [np.arange(8, dtype=np.int32)]}
    meta = {"window": 1, "curves": [[[[8, 0.5]]]], "timed": [[8, 0.1]]}

    def others():
        for key in arrays:
            changed = {k: [x.copy() for x in v] for k, v in arrays.items()}
            changed[key][0].view(np.uint32)[-1] ^= 1  # the last bit of one number
            yield changed, meta
        yield arrays, meta | {"window": 2}
        yield arrays, meta | {"curves": [[[[8, 0.25]]]]}

    digest = checkpoint._digest(arrays, meta)
    checkpoint.save(tmp_path, 1, arrays, meta)
    step, restored, rest = checkpoint.restore(tmp_path, arrays, pytest.fail)
    assert step == 1 and rest == meta and checkpoint._digest(restored, rest) == digest
    for changed, other in others():
        with monkeypatch.context() as patch:  # a whole checkpoint, but not the one that was meant
            patch.setattr(checkpoint, "_digest", lambda arrays, meta: digest)
            checkpoint.save(tmp_path, 2, changed, other)
        warnings = []
        step, restored, rest = checkpoint.restore(tmp_path, arrays, warnings.append)
        assert step == 1 and checkpoint._digest(restored, rest) == digest
        assert len(warnings) == 1 and "its contents do not match its checksum" in warnings[0]


def test_errors_of_a_damaged_file_are_told_once(caplog):
    log = logging.getLogger("asyncio")
    log.error("Task exception was never retrieved\nfuture: <Task exception=ValueError('DATA_LOSS [tensorstore_spec=')>")
    log.error("Task exception was never retrieved\nfuture: <Task exception=ValueError('mine')>")
    assert [record.message.count("mine") for record in caplog.records] == [1]


@pytest.mark.parametrize("n", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_any_bit_of_the_array_data(tmp_path, n):
    arrays = {"w": np.random.default_rng(0).random((300, 40), np.float32)}
    checkpoint.save(tmp_path, 1, arrays, {"window": 1})
    data_file = max((tmp_path / "1").rglob("d/*"), key=lambda path: path.stat().st_size)
    whole, rng, noticed = data_file.read_bytes(), random.Random(0), 0
    assert len(whole) > 0.8 * arrays["w"].nbytes
    for _ in range(n):
        content = bytearray(whole)
        content[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        data_file.write_bytes(content)
        warnings = []
        restored = checkpoint.restore(tmp_path, arrays, warnings.append)
        if restored is None:
            noticed += len(warnings) == 1
        else:  # a bit of the file's own that says nothing, one in some thousands
            assert np.array_equal(restored[1]["w"], arrays["w"]) and warnings == []
    assert noticed > 0.98 * n
    data_file.write_bytes(whole)
    assert np.array_equal(checkpoint.restore(tmp_path, arrays, pytest.fail)[1]["w"], arrays["w"])


# --- another study


def edited(toml, tmp_path, old, new):
    assert old in toml.read_text()
    path = tmp_path / "edited.toml"
    path.write_text(toml.read_text().replace(old, new))
    return path


@pytest.mark.parametrize(
    "old, new, difference",
    [
        ("epochs = 2", "epochs = 3", "run.epochs is 3 now and was 2"),
        ("n_train = 32", "n_train = 28", "data.n_train is 28 now and was 32"),
        ("n_neurons = 12", "n_neurons = 12\nw_init = 0.4", "network.w_init is 0.4 now and was not set"),
        ("batch_size = 4\n", "", "run.batch_size is not set now and was 4"),
        ('"lif"]', '"srm0"]', 'matrix.neuron is ["adaptive_lif", "srm0"] now and was ["adaptive_lif", "lif"]'),
        ("[ann]", "[neuron.lif]\n[ann]", "neuron.lif is {} now and was not set"),
        ("seed = [2, 3]", "seed = [3, 2]", "sweep.run.seed is [3, 2] now and was [2, 3]"),
        (
            "seed = [2, 3]\ndt = [1.0]",
            "dt = [1.0]\nseed = [2, 3]",
            "the order of the sweep is sweep.run.dt, sweep.run.seed now and was sweep.run.seed, sweep.run.dt",
        ),
        # Equal as numbers, but not in the lines' config_hash.
        ("checkpoint_seconds = 0.0", "checkpoint_seconds = 0", "run.checkpoint_seconds is 0 now and was 0.0"),
    ],
)
def test_another_config_is_refused(settings, at_window, tmp_path, old, new, difference):
    out = at_window(0, 3, tmp_path / "out")
    before = files(out)
    text = settings.toml.read_text()
    assert old in text
    (tmp_path / "edited.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        runs.run(config.load(tmp_path / "edited.toml"), settings.data, out, Watcher(), resume=True, clock=False)
    message = str(error.value)
    assert message.startswith(f"--resume: {difference} when the run in {out} was started") and "\n" not in message
    assert files(out) == before


def test_a_config_that_only_looks_different_is_not(settings, reference, at_window, tmp_path):
    out = at_window(1, 7, tmp_path / "out")
    text = settings.toml.read_text().replace("n_steps = 25\nepochs = 2", "epochs = 0x2\nn_steps = 25  # ms")
    (tmp_path / "edited.toml").write_text("# a comment\n" + text)
    runs.run(config.load(tmp_path / "edited.toml"), settings.data, out, Watcher(), resume=True, clock=False)
    check_same(out, reference)


def test_other_data_are_refused(settings, at_window, tmp_path):
    out = at_window(0, 3, tmp_path / "out")
    before = files(out)
    images = settings.data.test_images.copy()
    images[15, 400] ^= 1  # the last one that is shown
    with pytest.raises(InputError, match="--resume: the images and labels of mnist_excerpt are not those they were"):
        runs.run(settings.cfg, dataclasses.replace(settings.data, test_images=images), out, Watcher(), resume=True)
    assert files(out) == before


def test_the_command_refuses_another_study(settings, victims, at_window, tmp_path):
    out = at_window(0, 3, tmp_path / "out")
    before = files(out)
    for arguments, events, said in (  # the lock's own: written, removed
        (["--resume", "--set", "network.norm=70.0"], 2, "--resume: network.norm is 70.0 now and was not set when the"),
        (["--resume", "--set", "sweep.run.dt=[0.5]", "--set", "ann.seed=3"], 2, "ann.seed is 3 now and was not set, "),
        ([], 0, f"{out} already holds a run; add --resume to go on with it, or choose another --out"),
    ):
        refused = victims.run(out, *arguments)
        assert refused.code == 2 and refused.events == events
        assert refused.err.startswith("error: ") and said in refused.err and refused.err.count("\n") == 1
        assert files(out) == before


# --- two writers, a directory that is gone


class Doing(Watcher):
    """A watcher that does something once, after so many presentations."""

    def __init__(self, after, what):
        super().__init__()
        self.after, self.what = after, what

    def progress(self, n):
        super().progress(n)
        if self.what is not None and self.presentations >= self.after:
            what, self.what = self.what, None
            what()


def test_a_second_writer_is_refused(settings, reference, victims, at_window, tmp_path):
    out, refused = at_window(1, 6, tmp_path / "out"), []

    def second():
        for arguments in (["--resume"], []):
            refused.append(victims.run(tmp_path / "x", "--out", str(out), *arguments))
        with pytest.raises(InputError, match="is being written by process"):  # also in this process
            runs.run(settings.cfg, settings.data, out, Watcher(), resume=True, clock=False)

    runs.run(settings.cfg, settings.data, out, Doing(WINDOW, second), resume=True, clock=False)
    who = f"process {os.getpid()} on {socket.gethostname()}"
    why = f"is being written by {who}: wait until", "already holds a run; add --resume"
    for ended, said in zip(refused, why, strict=True):
        assert ended.code == 2 and ended.err.startswith(f"error: {out} {said}") and ended.err.count("\n") == 1
    check_same(out, reference)
    assert not (out / LOCK).exists()


def test_a_stopped_process_keeps_its_lock(settings, reference, victims, at_window, tmp_path):
    out = at_window(1, 2, tmp_path / "out")
    process = real_command(settings, out, "--resume")
    while not (runs.lane_directory(out, 1) / "3").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(InputError, match=f"is being written by process {process.pid} on "):
        run(settings, out, resume=True)
    process.send_signal(signal.SIGCONT)
    assert process.communicate()[1] == "" and process.returncode == 0
    check_same(out, reference)


@pytest.mark.parametrize("how", ["removed", "replaced", "another run in its place"])
def test_a_directory_that_is_gone(settings, at_window, reference, tmp_path, how):
    out = at_window(1, 6, tmp_path / "out")

    def lose():
        shutil.move(out, tmp_path / "moved") if how != "removed" else shutil.rmtree(out)
        if how == "replaced":
            out.mkdir()
        elif how != "removed":
            shutil.copytree(reference.out, out)

    with pytest.raises(InputError, match="was removed or replaced while it was being written"):
        runs.run(settings.cfg, settings.data, out, Doing(WINDOW, lose), resume=True, clock=False)
    if how == "removed":
        assert not out.exists()
    elif how == "replaced":
        assert not any(out.iterdir())
    else:
        check_same(out, reference)


# --- a full disk, an unwritable directory


def check_refused(ended, *words):
    """Exit code 2 and one line on stderr."""
    assert ended.code == 2, ended.err
    assert ended.err.startswith("error: cannot write") and ended.err.count("\n") == 1, ended.err
    assert all(word in ended.err for word in words), ended.err


@pytest.mark.parametrize(
    "lane, window, limit, what",
    [
        pytest.param(1, 3, 20_000, "a checkpoint to", id="checkpoint"),
        pytest.param(1, WINDOWS, 1_000, "results.jsonl", id="results", marks=pytest.mark.slow),
    ],
)
def test_no_room_for_a_file(settings, reference, victims, at_window, tmp_path, lane, window, limit, what):
    out = at_window(lane, window, tmp_path / "out")
    before = files(out)
    check_refused(victims.run(out, "--resume", file_limit=limit), what, "File too large")
    assert finished_files(out) == before
    assert go_on(settings, out, reference).warnings == []


def test_no_room_at_all(victims, tmp_path):
    out = tmp_path / "out"
    check_refused(victims.run(out, file_limit=400), "config.json", "File too large")
    assert files(tmp_path).keys() <= {"log", "log.err"} and not any(out.iterdir())


@pytest.fixture
def disk(tmp_path):
    """A file system of its own: mount(options) mounts or remounts it; its path."""
    path = tmp_path / "disk"
    path.mkdir()

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("may not mount a file system here")

    try:
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("may not mount a file system here")
        yield SimpleNamespace(path=path, mount=mount)
    finally:
        subprocess.run(["umount", path], capture_output=True, check=False)


def test_a_full_disk(settings, reference, victims, at_window, disk, tmp_path):
    source = at_window(1, 2, tmp_path / "source")
    used = sum(-(-p.stat().st_size // 4096) * 4096 for p in source.rglob("*") if p.is_file())
    one = sum(p.stat().st_size for p in (runs.lane_directory(source, 1) / "2").rglob("*") if p.is_file())
    disk.mount(f"size={used + one // 2}")
    out = Path(shutil.copytree(source, disk.path / "out"))
    before = files(out)
    ended = victims.run(tmp_path / "x", "--out", str(out), "--resume")
    check_refused(ended, "a checkpoint to", "No space left on device")
    assert finished_files(out) == before and len(results.read(out / "results.jsonl")) == PER_LANE
    disk.mount("remount,size=64m")
    assert go_on(settings, out, reference).presentations == (WINDOWS - 2) * WINDOW + ANSWER


@pytest.mark.slow
def test_a_full_disk_from_the_start(settings, reference, victims, disk, tmp_path):
    out = disk.path / "out"
    for room, what in ((2, ".jsnn.lock"), (3, "config.json")):
        disk.mount(f"{'' if room == 2 else 'remount,'}nr_inodes={room}")
        check_refused(victims.run(tmp_path / "x", "--out", str(out)), what, "No space left on device")
    disk.mount("remount,nr_inodes=10000")
    assert run(settings, out, resume=True)[1]
    check_same(out, reference)


@pytest.mark.slow
def test_a_directory_that_became_read_only(settings, reference, victims, at_window, disk, tmp_path):
    disk.mount("size=64m")
    out = at_window(1, WINDOWS, disk.path / "out")
    before = files(out)
    disk.mount("remount,ro")
    check_refused(victims.run(tmp_path / "x", "--out", str(out), "--resume"), ".jsnn.lock", "Read-only file system")
    assert finished_files(out) == before
    disk.mount("remount,rw")
    assert go_on(settings, out, reference).presentations == ANSWER


def test_an_unwritable_directory(victims, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file" / "out", Path("/sys/kernel/jsnn"), Path("/proc/jsnn/out")):
        ended = victims.run(tmp_path / "x", "--out", str(out))
        assert ended.code == 2 and re.fullmatch(r"error: .*\b(cannot write|--out)\b.*\n", ended.err), ended.err
        assert str(out) in ended.err
    ended = victims.run(tmp_path / "x", "--out", str(tmp_path / "file"))
    assert ended.code == 2 and ended.err.startswith("error: ") and ended.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission(victims, tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o555)
    check_refused(victims.run(tmp_path / "x", "--out", str(parent / "out")), "Permission denied")


def test_a_checkpoint_that_cannot_be_written_leaves_those_before(tmp_path, monkeypatch):
    arrays = {"w": np.arange(4.0, dtype=np.float32)}
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, arrays, {"window": step})
    before = files(tmp_path)
    tensorstore = ValueError("RESOURCE_EXHAUSTED: Error writing [os_error_code='28']\n[more]")
    for error, reason in (
        (tensorstore, "No space left on device"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (RuntimeError("two\nlines"), "two lines"),
        (ExceptionGroup("some", [tensorstore, OSError(28, "x")]), "some (2 sub-exceptions)"),
    ):

        def fail(*arguments, error=error, **keywords):
            (tmp_path / "4.unfinished.orbax-checkpoint-tmp").mkdir()
            raise error

        monkeypatch.setattr(checkpoint.ocp.Checkpointer, "save", fail)
        with pytest.raises(InputError) as raised:
            checkpoint.save(tmp_path, 4, arrays, {"window": 4})
        assert str(raised.value).startswith(f"cannot write a checkpoint to {tmp_path}: {reason}; make room there and")
        assert files(tmp_path) == before and checkpoint.steps(tmp_path) == [3, 2] and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_results_that_cannot_be_written_leave_those_before(tmp_path, monkeypatch, where):
    path = tmp_path / "results.jsonl"
    results.append(path, [{"seed": 0}])
    before = files(tmp_path)

    def fail(*arguments, **keywords):
        raise OSError(28, os.strerror(28))

    if where == "write":
        opened = Path.open

        def full(path, mode="r", *more, **keywords):
            return opened(Path("/dev/full"), "wb") if mode == "xb" else opened(path, mode, *more, **keywords)

        monkeypatch.setattr(Path, "open", full)
    else:
        monkeypatch.setattr(os, where, fail)
    with pytest.raises(InputError, match=r"cannot write .*/results.jsonl: No space left on device; ") as error:
        results.append(path, [{"seed": 1}, {"seed": 2}])
    assert "\n" not in str(error.value)
    assert files(tmp_path) == before and len(list(tmp_path.iterdir())) == 1
    monkeypatch.undo()
    results.append(path, [{"seed": 1}])
    assert results.read(path) == [{"seed": 0}, {"seed": 1}]


def test_where_there_is_no_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert runs.environment()["git_commit"] is None
