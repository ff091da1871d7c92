"""A run: one study in one directory, from its config to the last line of results.jsonl, through any number of
interruptions.

    DIR/config.json      the study as it was started, and of which data: what --resume is compared with
    DIR/results.jsonl    one line a finished trial, in the order of the study
    DIR/state/<lane>/    checkpoints of each lane; the last one holds the trained networks
    DIR/components/      the files of the user's own components that the config names (`jsnn.runs.components`)

config.json and the lines of results.jsonl have checksums (`jsnn.core.sealed`); results and states say of which config
and data they are (`jsnn.runs.records.hashes`), and who reads them compares.

Whatever is killed here goes on from the last checkpoint and writes the same bytes, but for the clock readings in
`CLOCK_FIELDS` (which `clock=False` leaves out).
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

import jsnn
from jsnn.core import files, numerics, sealed
from jsnn.core.errors import InputError
from jsnn.data import SPLITS, Dataset
from jsnn.grid import groups
from jsnn.grid.groups import Lane, LaneState, Schedule, Way
from jsnn.grid.observer import Observer
from jsnn.grid.processes import check_same, from_first
from jsnn.learners.learner import Learner, Task
from jsnn.runs import checkpoint, components, config, results
from jsnn.runs.config import Config, Entry
from jsnn.runs.records import CompileClock, ann_record, environment, hashes, identity, is_of, record

COMPONENTS = "components"  # where a run keeps the files that its config names
CLOCK_FIELDS = ("presentations_per_second", "compile_seconds", "run_seconds")


@dataclasses.dataclass(frozen=True)
class Job:
    """What stays the same while a study runs."""

    cfg: Config
    task: Task
    out: Path
    environment: dict[str, Any]  # what each line says of where it was made, `of` included
    of: dict[str, str]  # what states say of the study they are of (`jsnn.runs.records.hashes`)
    compiled: CompileClock
    clock: bool
    check: Callable[[], None]  # raises InputError where `out` is no longer the directory that it was

    @property
    def data(self) -> Dataset:
        """The images."""
        return self.task.data

    @property
    def schedule(self) -> Schedule:
        """How many of them are shown."""
        return self.task.schedule

    @property
    def observer(self) -> Observer:
        """Who watches."""
        return self.task.observer


def task_of(cfg: Config, data: Dataset, schedule: Schedule, observer: Observer) -> Task:
    """What a study gives its learners to do."""
    conditions = [f"{entry.encoder} x {entry.neuron} x {entry.rule}" for entry in cfg.entries]
    return Task(data, schedule, observer, cfg.run.engine, cfg.run.grid, cfg.run.readout, conditions)


def schedule_of(cfg: Config, data: Dataset) -> Schedule:
    """How many images are shown. Raises InputError for more than there are, or for networks that they do not fit."""
    if data.n_held_out != (cfg.data.n_validation or 0):
        raise InputError(
            f"data.n_validation = {cfg.data.n_validation}: {data.name} came with {data.n_held_out} images held out; "
            "give it as data.held_out(n_validation)"
        )
    n_train = cfg.data.n_train or len(data.train_labels)
    labels_neurons = any(entry.trial.learner.labels_neurons for entry in cfg.entries)
    n_assign = cfg.data.n_assign or min(n_train, 10_000) if labels_neurons else 0
    n_test = cfg.data.n_test or len(data.test_labels)
    shown = f"the {n_train} training images"
    limits = [
        ("data.n_train", n_train, len(data.train_labels), f"the training images of {data.name}"),
        ("data.n_test", n_test, len(data.test_labels), f"the {SPLITS[data.split]} of {data.name}"),
        ("data.n_assign", n_assign, n_train, shown),
        ("run.batch_size", config.largest_batch(cfg.entries), n_train, shown),
        ("run.epochs", cfg.run.epochs, (2**31 - 1) // n_train, "presentations are numbered in 31 bits"),
    ]
    if cfg.ann is not None:
        limits.append(("ann.batch_size", cfg.ann.batch_size, cfg.ann.n_shown(n_train), "the images it learns from"))
    for key, value, most, why in limits:
        if value > most:
            raise InputError(f"{key} = {value}: it should be at most {most} ({why})")
    for lane in groups.plan([entry.trial for entry in cfg.entries]):
        lane.learner.check_options(lane, cfg.run.engine, cfg.run.grid)
    for entry in cfg.entries:
        entry.trial.learner.check_data(entry.trial, entry.encoder, data)
    return Schedule(
        n_train=n_train,
        n_assign=n_assign,
        n_test=n_test,
        epochs=cfg.run.epochs,
        windows=cfg.run.curve_points,
        test_passes=cfg.run.test_passes,
    )


def check_memory(cfg: Config, lanes: Sequence[Lane]) -> None:
    """Raises InputError for a study whose arrays cannot fit into the device's memory, however they are computed."""
    stats = jax.local_devices()[0].memory_stats()
    memory = stats["bytes_limit"] if stats else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needs = []
    for lane in lanes:
        inputs, network = lane.inputs, lane.cells[0].trials.network
        what = f"run.n_steps = {inputs.n_steps}, run.batch_size = {inputs.batch_size}"
        needs.append((lane.learner.footprint(lane), f"{what}, network.n_neurons = {network.n_neurons}"))
    if cfg.ann is not None:
        n_weights = cfg.ann.n_hidden * cfg.entries[0].trial.network.n_input
        needs.append((4 * n_weights, f"ann.n_hidden = {cfg.ann.n_hidden}"))
    for need, what in needs:
        if need > memory:
            raise InputError(
                f"{what}: it needs {need / 1e9:.3g} GB and should fit into the {memory / 1e9:.3g} GB there are"
            )


def too_dark(data: Dataset, schedule: Schedule) -> str | None:
    """What to say of images that no network will see, or of splits of unlike brightness; or None."""
    what = ("training images", SPLITS[data.split])
    train, test = int(data.train_images[: schedule.n_train].max()), int(data.test_images[: schedule.n_test].max())
    if min(train, test) <= 1:
        dark = what[0] if train <= test else what[1]
        return (
            f"{data.name}: no pixel of the {dark} is brighter than {min(train, test)} of 255; "
            "were the images divided by 255 before?"
        )
    if max(train, test) > 2 * min(train, test):
        return (
            f"{data.name}: the brightest pixel of the {what[0]} is {train} and that of the {what[1]} {test} of 255; "
            "were they scaled alike?"
        )
    return None


def facts(cfg: Config, data: Dataset, schedule: Schedule, out: Path, resume: bool, clock: bool) -> dict[str, str]:
    """What all processes of a job have to have in common."""
    tables = {key: json.dumps(value) for key, value in config.flatten(cfg.tables).items()}
    package = hashlib.sha256()
    for path in sorted(Path(jsnn.__file__).parent.rglob("*.py")):
        package.update(path.read_bytes())
    return {
        **tables,
        "the files of components": json.dumps(components.digests(cfg.sources)),
        "the order of the sweep": ", ".join(key for key in tables if key.startswith("sweep.")),
        "the hash of the images and labels": fingerprint(data, schedule)["sha256"],
        "--out": str(out.resolve()),
        "--resume": str(resume),
        "--no-clock": str(not clock),
        "jsnn": f"{jsnn.__version__} with sources of hash {package.hexdigest()[:12]}",
        **{name: version(name) for name in ("jax", "jaxlib", "numpy")},
        "Python": platform.python_version(),
        "the platform": jax.default_backend(),
        **{name: json.dumps(value) for name, value in numerics.settings().items()},
    }


def fingerprint(data: Dataset, schedule: Schedule) -> dict[str, Any]:
    """Of the images and labels that a run uses: see `Dataset.fingerprint`."""
    return data.fingerprint(schedule.n_train, schedule.n_test)


def write_config(out: Path, cfg: Config, data: Mapping[str, Any]) -> None:
    """Write the study as it is started, its data's fingerprint, JAX's settings, and the files of its components."""
    begun = {"jsnn": jsnn.__version__, "tables": cfg.tables, "data": data, "numerics": numerics.settings()}
    for name, content in cfg.sources.items():
        results.write_whole(out / COMPONENTS / name, content)
    if cfg.sources:
        begun["components"] = components.digests(cfg.sources)
    results.write_whole(out / "config.json", (sealed.dumps(begun, indent=1) + "\n").encode())


def read_config(out: Path) -> dict[str, Any]:
    """What `write_config` has written in a run's directory. Raises InputError."""
    path = out / "config.json"
    try:
        begun = sealed.loads(path.read_bytes())
        if not isinstance(begun.get("tables"), dict) or not isinstance(begun.get("data"), dict):
            raise sealed.Damaged("it has no tables or no data")
        return begun
    except FileNotFoundError:
        raise InputError(f"{out} holds no run: there is no {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; it should be the config of a run") from None
    except sealed.Damaged as error:
        raise InputError(
            f"{path} is damaged: {error}; put back what the run wrote there, or choose another --out"
        ) from None


def hashes_of(out: Path) -> dict[str, str]:
    """What all states and results in a run's directory have to say that they are of. Raises InputError."""
    begun = read_config(out)
    return hashes(begun["tables"], begun["data"])


def open_run(out: Path, cfg: Config, data: Mapping[str, Any], resume: bool) -> bool:
    """Make the run's directory, or check that it holds this very study on the same `data`. Raises InputError.

    Returns whether it made it: `resume` also starts a run that was killed before it had a directory.
    """
    if not holds_run(out, resume):
        write_config(out, cfg, data)
        return True
    begun = read_config(out)
    different = differences(begun["tables"], cfg.tables)
    if not different and begun["data"] != data:
        different = [f"the images and labels of {data['name']} are not those they were"]
    if not different and begun.get("components", {}) != (now := components.digests(cfg.sources)):
        different = [f"{name} is not the file that it was" for name in sorted(now)]
    different = different or numerics.differences(begun.get("numerics", {}), numerics.settings())
    if different:
        more = f", and {len(different) - 3} more" if len(different) > 3 else ""
        raise InputError(
            f"--resume: {', '.join(different[:3])}{more} when the run in {out} was started; "
            "put that back, or choose another --out"
        )
    return False


def holds_run(out: Path, resume: bool) -> bool:
    """Whether there is a run in `out` to go on with. Raises InputError where no run can be made there, or one is there
    and not to be gone on with.
    """
    try:
        is_run, present = (out / "config.json").exists(), list(out.iterdir()) if out.exists() else []
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror}; it should be a directory, so choose another --out") from None
    if not is_run:
        if any(p.name != files.LOCK and not p.name.endswith(files.UNFINISHED) for p in present):
            raise InputError(f"{out} is not empty and holds no run; choose another --out")
        return False
    if not resume:
        raise InputError(f"{out} already holds a run; add --resume to go on with it, or choose another --out")
    return True


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What two studies' tables differ in, in words: "run.epochs is 2 now and was 1", ..."""
    old, new = ({k: json.dumps(v) for k, v in config.flatten(tables).items()} for tables in (before, after))
    different = [
        f"{key} is {new.get(key, 'not set')} now and was {old.get(key, 'not set')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    swept = [[key for key in tables if key.startswith("sweep.")] for tables in (old, new)]
    if not different and swept[0] != swept[1]:  # the order of the trials
        different = [f"the order of the sweep is {', '.join(swept[1])} now and was {', '.join(swept[0])}"]
    return different


def read_lines(out: Path, warn: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
    """The lines of a run's results, in the order of its trials. Raises InputError where they are not those of the first
    lanes of the study that its config.json is of, each once.

    `warn` hears of a run that has not all of its lines; without it, that is refused, too.
    """
    cfg, path = config_of(out), out / "results.jsonl"
    lines = read_results(path, cfg, groups.plan([entry.trial for entry in cfg.entries]))
    n = len(cfg.entries) + (cfg.ann is not None)
    if 0 < len(lines) < n:
        missing = f"{path} has the lines of {len(lines)} of {n} trials; go on with --resume for the others"
        if warn is None:
            raise InputError(missing)
        warn(missing)
    return lines


def check_study(out: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Raises InputError for lines of results of another study than a run's config.json is of."""
    path, of = out / "results.jsonl", hashes_of(out)
    for number, line in enumerate(lines, 1):
        if different := [key for key in of if line.get(key) != of[key]]:
            what = {"config_hash": "another config", "data_hash": "other data"}[different[0]]
            raise results.damaged(f"{path}:{number}: it is of {what} than {out / 'config.json'}", path)


def read_results(path: Path, cfg: Config, lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    """The lines written so far. Raises InputError where they are not those of the study's first lanes, in order."""
    lines = results.trials(path)
    whole, expected = [0], []
    for lane in lanes:
        expected += [identity(cfg.entries[i]) for cell in lane.cells for i in cell.index]
        whole.append(len(expected))
    if cfg.ann is not None:
        expected.append({"encoder": "none", "neuron": "relu", "rule": "backprop"})
        whole.append(len(expected))
    for number, (line, trial) in enumerate(zip(lines, expected, strict=False), 1):
        if not line.items() >= trial.items():
            raise results.damaged(f"{path}:{number}: it should be the line of {trial}", path)
    if len(lines) not in whole:
        raise results.damaged(f"{path}: it has {len(lines)} lines and should have one of {whole}", path)
    check_study(path.parent, lines)
    return lines


def of_lane(of: Mapping[str, str], lane: Lane) -> dict[str, Any]:
    """What a state says that it is of: its study (`jsnn.runs.records.hashes`), and which of its trials."""
    return {**of, "trials": [list(cell.index) for cell in lane.cells]}


def _meta(state: LaneState, of: Mapping[str, Any]) -> dict[str, Any]:
    ways = [[way.engine, way.at_once] for way in state.ways]
    return {"of": dict(of), "window": state.window, "curves": state.curves, "timed": state.timed, "ways": ways}


def _state(like: LaneState, fields: dict[str, Any], meta: dict[str, Any]) -> LaneState:
    return dataclasses.replace(
        like,
        **fields,
        curves=[[[(int(n), float(a)) for n, a in curve] for curve in cell] for cell in meta["curves"]],
        timed=[(int(n), float(s)) for n, s in meta["timed"]],
        ways=tuple(Way(engine, at_once) for engine, at_once in meta["ways"]) if "ways" in meta else like.ways,
        window=meta["window"],
    )


def lane_directory(out: Path, number: int) -> Path:
    """Where a lane's checkpoints are."""
    return out / "state" / f"lane-{number:03d}"


def restore_lane(out: Path, number: int, lane: Lane, warn: Callable[[str], None]) -> LaneState | None:
    """The newest whole state of a lane, or None. Raises InputError for one of another study, or of other trials."""
    learner, of, directory = lane.learner, of_lane(hashes_of(out), lane), lane_directory(out, number)
    like = learner.start(lane, read_config(out)["data"]["n_classes"])
    restored = checkpoint.restore(directory, learner.arrays(like), warn)
    if restored is None:
        return None
    step, arrays, meta = restored
    if (its := meta.get("of")) != of:
        if isinstance(its, dict) and its.items() >= hashes_of(out).items():
            raise InputError(
                f"{directory / str(step)} is of the trials {its.get('trials')} of its study and should be of "
                f"{of['trials']}: put back the state of this lane"
            )
        raise InputError(
            f"{directory / str(step)} is of another config or other data than {out / 'config.json'}: put back the one "
            "that it was saved with"
        )
    return _state(like, learner.fields(like, arrays), meta)


def run(
    cfg: Config, data: Dataset, out: Path, observer: Observer, resume: bool = False, clock: bool = True
) -> list[dict[str, Any]]:
    """Run a study to its end, from its start or (`resume`) from wherever it was left; returns all its records.

    Raises InputError for a directory that holds another run, or that cannot be written.
    """
    numerics.check()
    schedule = schedule_of(cfg, data)
    lanes = groups.plan([entry.trial for entry in cfg.entries])
    check_memory(cfg, lanes)
    check_same(facts(cfg, data, schedule, out, resume, clock))
    with only_writer(out, observer.warn) as check:
        of_data = fingerprint(data, schedule)
        if from_first(lambda: open_run(out, cfg, of_data, resume)) and resume:
            observer.warn(f"--resume: there was no run in {out}; this starts one")
        of = hashes(cfg.tables, of_data)
        task = task_of(cfg, data, schedule, observer)
        job = Job(cfg, task, out, environment() | of, of, CompileClock(), clock, check)
        written = _run(job, lanes)
        check()
    return written


@contextlib.contextmanager
def only_writer(out: Path, warn: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Be the only job that writes to `out`; what it gives raises InputError where that directory is gone or another."""
    with contextlib.ExitStack() as held:
        locks: list[files.Lock] = []
        from_first(lambda: locks.append(held.enter_context(files.locked(out, warn))))
        yield lambda: from_first(lambda: locks[0].check())


def _run(job: Job, lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    """Lane by lane: train what is not trained, append what is not written, tell of all."""
    cfg, out, observer, schedule = job.cfg, job.out, job.observer, job.schedule
    if dark := too_dark(job.data, schedule):
        observer.warn(dark)
    from_first(lambda: [files.sweep(place) for place in (out, out / "figures")] and None)
    path = out / "results.jsonl"

    def append(new: list[dict[str, Any]]) -> None:
        job.check()
        from_first(lambda: results.append(path, new))

    written = read_results(path, cfg, lanes)
    n_done = 0
    for number, lane in enumerate(lanes):
        entries = [cfg.entries[i] for cell in lane.cells for i in cell.index]
        n_done += len(entries)
        if len(written) >= n_done:
            if checkpoint.steps(lane_directory(out, number)):  # a damaged last state is made again
                _train_lane(job, number, lane, entries)
            observer.earlier(len(entries) * schedule.n_presentations)
            for line in written[n_done - len(entries) : n_done]:
                observer.finished(line)
            continue
        new = _run_lane(job, number, lane, entries)
        append(new)
        written += new
        for line in new:
            observer.finished(line)
    if cfg.ann is not None:
        if len(written) == n_done:
            observer.phase("training the ANN")
            new = [ann_record(cfg, job.data, schedule, job.environment, job.clock)]
            append(new)
            written += new
        observer.finished(written[-1])
    return written


def _train_lane(
    job: Job, number: int, lane: Lane, entries: Sequence[Entry], state: LaneState | None = None
) -> LaneState:
    """Train a lane to its end from `state`, by default its newest; afterwards that end is saved."""
    directory, observer = lane_directory(job.out, number), job.observer
    checkpoint.sweep(directory)
    learner: Learner = lane.learner
    state = state or restore_lane(job.out, number, lane, observer.warn) or learner.begin(lane, job.task)
    saved, saved_at, finished = state.window, time.monotonic(), state

    def save(state: LaneState) -> None:
        nonlocal saved, saved_at
        job.check()
        checkpoint.save(directory, state.window, learner.arrays(state), _meta(state, of_lane(job.of, lane)))
        saved, saved_at = state.window, time.monotonic()

    def on_window(state: LaneState) -> None:
        nonlocal finished
        finished = state
        points = [curve[-1] for cell in state.curves for curve in cell if curve]
        measured = state.measured or [{}] * len(entries)
        for entry, (seen, accuracy), more in zip(entries, points, measured, strict=False):
            observer.interim(entry, seen, {"accuracy": accuracy, **more})
        if from_first(lambda: time.monotonic() - saved_at >= job.cfg.run.checkpoint_seconds):
            save(state)

    try:
        state = learner.train(lane, job.data, job.schedule, state, observer.progress, on_window)
    except KeyboardInterrupt:
        if saved != finished.window:
            save(finished)
        raise KeyboardInterrupt(f"window {saved} saved" if saved else "") from None
    if saved != state.window:
        save(state)
    return state


def _run_lane(job: Job, number: int, lane: Lane, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Train a lane, let its networks answer, and make their lines."""
    schedule = job.schedule
    restored = restore_lane(job.out, number, lane, job.observer.warn)
    total = schedule.n_train * schedule.epochs
    done = min(total, (restored.window if restored else 0) * -(-schedule.n_train // schedule.windows))
    job.observer.earlier(len(entries) * done)
    job.observer.lane(number, entries, len(entries) * (total - done + schedule.n_answers))
    state = restored or lane.learner.begin(lane, job.task)
    began, compiled_before = time.perf_counter(), job.compiled.seconds
    job.observer.phase("training", len(entries) * (total - done))
    state = _train_lane(job, number, lane, entries, state)
    job.observer.phase("answers", len(entries) * schedule.n_answers)
    answers = lane.learner.answers(lane, job.task, state)
    seconds, compile_seconds = time.perf_counter() - began, job.compiled.seconds - compiled_before
    lines = []
    for c, cell in enumerate(lane.cells):
        for g, i in enumerate(cell.index):
            presentations, train_seconds = state.timed[c]
            clock = {
                "presentations_per_second": presentations / train_seconds if presentations else None,
                "compile_seconds": compile_seconds / len(entries),
                "run_seconds": seconds / len(entries),
            }
            where = (clock if job.clock else {}) | job.environment
            curve = state.curves[c][g]
            lines.append(record(job.cfg, job.cfg.entries[i], job.data, schedule, answers[c][g], curve, where))
    return lines


def study_of(begun: Mapping[str, Any], out: Path) -> Config:
    """The study of a run's config.json, with the components whose files the run has kept. Raises InputError."""
    cfg = config.parse(begun["tables"], out / COMPONENTS)
    if components.digests(cfg.sources) != begun.get("components", {}):
        raise InputError(f"{out / COMPONENTS}: its files are not those that the run was started with; put them back")
    return cfg


def config_of(out: Path) -> Config:
    """The study of a run. Raises InputError where there is none."""
    return study_of(read_config(out), out)


@dataclasses.dataclass(frozen=True)
class Trained:
    """The networks of a run, as they were read back."""

    cfg: Config
    data: Mapping[str, Any]  # the fingerprint of what they were trained and evaluated on
    lanes: Sequence[Lane]
    states: Sequence[LaneState | None]  # of each lane; None: it was not asked for
    windows: Sequence[int]  # of each lane: how many a whole training has

    @property
    def unfinished(self) -> list[str]:
        """What is not as it was at the end of its training, in words, a lane."""
        return [
            f"the networks of lane {number} are those after window {state.window} of {n}, not of the end of a training"
            for number, (state, n) in enumerate(zip(self.states, self.windows, strict=True))
            if state is not None and state.window < n
        ]


def load_trained(out: Path, warn: Callable[[str], None], lines: Sequence[Mapping[str, Any]] | None = None) -> Trained:
    """The newest whole networks of a run, which may be from before the end of their training (`Trained.unfinished`): of
    all lanes, or of those of some lines of its results. Raises InputError where there are none.
    """
    begun = read_config(out)
    cfg, data = study_of(begun, out), begun["data"]
    lanes = groups.plan([entry.trial for entry in cfg.entries])
    n_train, states = data["n_train"], []
    for number, lane in enumerate(lanes):
        entries = [cfg.entries[i] for cell in lane.cells for i in cell.index]
        if lines is not None and not any(is_of(line, entry) for line in lines for entry in entries):
            states.append(None)
            continue
        state = restore_lane(out, number, lane, warn)
        if state is None:
            raise InputError(f"{lane_directory(out, number)} holds no trained network; go on with --resume first")
        states.append(state)
    schedule = Schedule(n_train=n_train, n_assign=0, n_test=0, epochs=cfg.run.epochs, windows=cfg.run.curve_points)
    return Trained(cfg, data, lanes, states, [lane.learner.n_windows(lane, schedule) for lane in lanes])


def network_of(trained: Trained, line: Mapping[str, Any]) -> tuple[Any, Any]:
    """The trial that a line of results.jsonl is of, and what it learned (`Learned`, or a `TrainState`)."""
    for lane, state in zip(trained.lanes, trained.states, strict=True):
        for c, cell in enumerate(lane.cells):
            for g, i in enumerate(cell.index):
                if state is not None and is_of(line, trained.cfg.entries[i]):
                    return trained.cfg.entries[i].trial, groups.take(state.learned[c], g)
    raise InputError(
        f"no trained network of {line['encoder']} x {line['neuron']} x {line['rule']}, seed {line['seed']}"
    )
