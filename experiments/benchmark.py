"""How fast jsnn learns: beside its rivals, and beside what the machine could do at best.

  python experiments/benchmark.py --case 'online-*' --rival bindsnet=bindsnet/bin/python --json runs.jsonl
  python experiments/benchmark.py --rival bindsnet=... --rival neurosush=... --rival ngclearn=... --figure cost.png

Each rival runs in a virtual environment of its own, which is made once (Python 3.11; torch from
--index-url https://download.pytorch.org/whl/cpu is enough):

  python3.11 -m venv bindsnet    (AGPL-3.0: it is run, never copied; --no-deps leaves games and data sets out)
    bindsnet/bin/pip install torch==2.13.0 numpy && bindsnet/bin/pip install --no-deps bindsnet==0.3.4
  python3.11 -m venv neurosush
    neurosush/bin/pip install torch==2.13.0 numpy neurosush==0.5.0
  python3.11 -m venv ngclearn
    ngclearn/bin/pip install ngclearn==3.0.0 ngcsimlib==3.1.1 jax==0.10.1 'setuptools<81' typing_extensions
    ngclearn/bin/pip install imageio pandas matplotlib
  python3.11 -m venv brian2    (it needs a C++ compiler)
    brian2/bin/pip install brian2==2.9.0 'numpy<2.4' 'setuptools<81' cython
  python3.11 -m venv torch    (snntorch, norse and spikingjelly, which all have this interpreter)
    torch/bin/pip install torch==2.13.0 numpy nir==1.0.8 nirtorch==2.6 scipy matplotlib loguru tensorboard pandas
    torch/bin/pip install tqdm packaging requests
    torch/bin/pip install --no-deps snntorch==1.0.0 norse==1.1.0 spikingjelly==2.0.0
  python3.11 -m venv spyx
    spyx/bin/pip install jax==0.10.2 spyx==1.0.0

Every measurement is a process: it warms up, then works for --seconds, encoding of images included. A round is one
measurement of jsnn and one of the rival; a figure is the median of the rounds, with its smallest and largest. The
rival of the same network starts from the weights and thresholds that jsnn learned from the same images, as cost
follows activity. PyTorch has one thread or all, whichever is faster.

The limit is what this machine would do if each counted event cost what it must:

  1 / (synaptic events * max(seconds of an add, 4 * seconds of a byte) + neuron updates * seconds of an update)

with synaptic events = input spikes * neurons (a spike adds its weights to all membranes) + output spikes * lit pixels
(a neuron that fires changes its weights); a depression at an input spike concerns the few neurons that have fired, and
is left out. An add is one of cached float32 in a long compiled loop; a byte, one of an array as large as the weights
that is read and written; an update, a fused step of a cached membrane. A weight that is read once for several events
moves fewer bytes than this counts.

The cases that learn by gradients (layer, training, memory) have no such limit. All sides of one have the same sizes,
steps, batch, decay and loss, subtract the threshold at a spike, and see the same input. Memory is what XLA allots to
a pass beside its arguments and results, of jsnn in chunks and of jax.lax.scan over the same network.
"""

import argparse
import contextlib
import dataclasses
import fnmatch
import functools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

import numpy as np
from console import command
from rivals.cases import ALONE, CASES, PLAIN, Case
from rivals.report import COLUMNS, Report, figure, row, summary, table
from terminal import Parser, user_path

from jsnn import data
from jsnn.core import sealed
from jsnn.core.errors import InputError
from jsnn.data import cache
from jsnn.runs import config

ROOT = Path(__file__).parent.parent
WORKERS = Path(__file__).parent / "rivals"
RIVALS = (  # names of distributions, and of workers
    "bindsnet", "neurosush", "ngclearn", "brian2", "spyx", "snntorch", "spikingjelly", "norse",
)  # fmt: skip
DECAY = 0.9  # of a membrane in a step, where gradients are compared


class WorkerFailed(RuntimeError):
    """A measurement that ended without a figure; the last line that its process wrote."""


def measure(python: str, worker: str, order: Report, own: bool) -> dict[str, Any]:
    """One measurement: a process of `python`, and the line that it prints."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH" and (own or k != "PYTHONPATH")}
    if own:
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [env.get("PYTHONPATH")])])
        env.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache.compiled() or ""))
        env.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
        env.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    process = subprocess.run(
        [python, str(WORKERS / f"{worker}_worker.py"), json.dumps(order)],
        capture_output=True, text=True, env=env, cwd=order["folder"], check=False,
    )  # fmt: skip
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        raise WorkerFailed(f"{worker}, {order['name']}: {lines[-1]}")
    return json.loads(process.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def one_core() -> Iterator[int]:
    """Processes started in here have one core; gives the number there are. Linux only: elsewhere they have all."""
    if not hasattr(os, "sched_setaffinity"):
        yield 1
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield len(before)
    finally:
        os.sched_setaffinity(0, before)


def measure_rival(case: Case, python: str, order: Report) -> dict[str, Any]:
    """One measurement of the other side."""
    if case.rival == PLAIN:
        return measure(python, "jsnn_gradient", {**order, "plain": True}, own=True)
    if case.rival != ALONE:
        return measure(python, case.rival, order, own=False)
    with one_core() as cores:
        report = measure(python, "jsnn", {**order, "alone": True}, own=True)
    times = cores if report["device"].startswith("cpu") else 1
    return report | {"per_second": times * report["per_second"], "version": report["jsnn"], "times_cores": times}


def order_of(case: Case, folder: Path, seconds: float, first: bool) -> dict[str, Any]:
    """What a worker is told: the case, the numbers of the network, and where things are. `first`: in the first round,
    jsnn's engines are compared.
    """
    network = config.load(ROOT / "configs" / "headline.toml").entries[0].trial.network
    adaptation: Any = network.neuron.adaptation
    inhibition: Any = network.inhibition
    name = f"{case.kind}-{case.n}-{case.steps}-{case.batch}-{case.intensity}-{case.burn_in}.npz"
    return dataclasses.asdict(case) | {
        "rival_batch": case.rival_batch or case.batch,
        "check": case.check if first else 0,
        "theta_plus": adaptation.theta_plus,
        "tau_theta": adaptation.tau_theta,
        "inhibition": inhibition.strength,
        "input_rate": 0.05,
        "alone": False,
        "plain": False,
        "sizes": case.sizes,
        "decay": DECAY,
        "tau": -1.0 / math.log(DECAY),
        "seconds": seconds,
        "folder": str(folder),
        "images": str(folder / "images.npy"),
        "labels": str(folder / "labels.npy"),
        "learned": str(folder / name) if case.kind in ("two_layer", "three_layer", "conductance") else None,
    }


def run_case(
    case: Case,
    rounds: int,
    own_side: Callable[[bool], Report],
    peer_side: Callable[[bool], Report] | None,
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """Measure a case: jsnn, rival, jsnn, rival, ...; returns its line of JSON.

    A side is called with whether this is the first round, and returns its worker's report. A rival that is None, or
    fails, is left out.
    """
    own: list[Report] = []
    peer: list[Report] = []
    for i in range(rounds):
        own.append(own_side(i == 0))
        if peer_side is not None:
            try:
                peer.append(peer_side(i == 0))
            except WorkerFailed as error:
                peer_side = None
                warn(str(error))
    return summary(case, own, peer)


def parse() -> argparse.Namespace:
    """The arguments; raises InputError for one that cannot be used."""
    names = ", ".join(case.name for case in CASES)
    parser = Parser(f"{__doc__}\n\ncases: {names}")
    parser.add_argument("--case", nargs="+", metavar="NAME", help="which cases, e.g. 'online-*' (default: all)")
    parser.add_argument(
        "--rival", action="append", default=[], metavar="NAME=PYTHON",
        help=f"a rival and the interpreter of its environment: {', '.join(RIVALS)}; others are left out",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side (default: 5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a measurement (default: 5)")
    parser.add_argument("--json", type=user_path, metavar="FILE", help="write a line of JSON for each case")
    parser.add_argument("--figure", type=user_path, metavar="FILE", help="draw cost against N, T, batch and grid size")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or not arguments.seconds >= 0:
        raise InputError("--rounds should be at least 1, and --seconds not negative")
    return arguments


def chosen(patterns: Sequence[str] | None) -> list[Case]:
    """The cases that patterns name, in their order; all without one."""
    for pattern in patterns or ():
        if not any(fnmatch.fnmatchcase(case.name, pattern) for case in CASES):
            raise InputError(f"--case {pattern}: there is none; known are {', '.join(case.name for case in CASES)}")
    return [c for c in CASES if patterns is None or any(fnmatch.fnmatchcase(c.name, p) for p in patterns)]


def interpreters(assignments: Sequence[str]) -> dict[str, str]:
    """Rivals and their interpreters, each tried out; jsnn's own for the grids and the plain scan."""
    found = {ALONE: sys.executable, PLAIN: sys.executable}
    for assignment in assignments:
        name, _, python = assignment.partition("=")
        if name not in RIVALS or not python:
            raise InputError(f"--rival {assignment}: it should be NAME=PYTHON, with a NAME of {', '.join(RIVALS)}")
        python = os.path.abspath(os.path.expanduser(python))
        probe = f"import importlib.metadata as m; m.version('{name}')"
        try:
            process = subprocess.run([python, "-c", probe], capture_output=True, check=False, cwd=tempfile.gettempdir())
        except OSError as error:
            raise InputError(f"--rival {name}: cannot run {python}: {error.strerror}") from None
        if process.returncode:
            raise InputError(f"--rival {name}: {python} has no {name} installed; see --help")
        found[name] = python
    return found


def writable(path: Path) -> None:
    """Raises InputError for a file that cannot be written, before anything is measured."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"cannot write {path}: it should be a file in a directory that exists and can be written")


def main() -> None:
    """Measure, show, write, draw."""
    arguments = parse()
    cases, rivals = chosen(arguments.case), interpreters(arguments.rival)
    for path in filter(None, (arguments.json, arguments.figure)):
        writable(path)
    if arguments.figure:
        from jsnn import plots

        plots.check_format(arguments.figure)
    records: list[dict[str, Any]] = []
    try:
        run(cases, rivals, arguments, records)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{len(records)} of {len(cases)} cases measured") from None
    finally:
        if records:
            finish(records, arguments.figure)


def run(cases: Sequence[Case], rivals: Mapping[str, str], arguments: argparse.Namespace, records: list) -> None:
    """Measure all cases into `records`, and into the file of --json as they come."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with (
        tempfile.TemporaryDirectory() as folder,
        open(arguments.json or os.devnull, "w") as out,
        Progress(*columns, TextColumn("left"), TimeRemainingColumn()) as progress,
    ):
        excerpt = data.load("mnist_excerpt")
        np.save(Path(folder) / "images.npy", excerpt.train_images[:2048])
        np.save(Path(folder) / "labels.npy", excerpt.train_labels[:2048])
        task = progress.add_task("", total=sum(arguments.rounds * (1 + (case.rival in rivals)) for case in cases))

        def say(text: str) -> None:
            progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

        def side(case: Case, name: str, measured: Callable[[Report], Report]) -> Callable[[bool], Report]:
            def one(first: bool) -> Report:
                progress.update(task, description=f"{case.name}: {name}")
                result = measured(order_of(case, Path(folder), arguments.seconds, first))
                progress.advance(task)
                return result

            return one

        for case in cases:
            worker = "jsnn_gradient" if case.by_gradients else "jsnn"
            own = side(case, "jsnn", functools.partial(measure, sys.executable, worker, own=True))
            peer = side(case, case.rival, functools.partial(measure_rival, case, rivals.get(case.rival, "")))
            record = run_case(case, arguments.rounds, own, peer if case.rival in rivals else None, say)
            records.append(record)
            print(sealed.dumps(record), file=out, flush=True)
            say("  ".join(f"{name}: {text}" for name, text in zip(COLUMNS, row(record), strict=True)))


def finish(records: Sequence[Report], path: Path | None) -> None:
    """The table, and the figure."""
    from rich.console import Console

    Console().print(table(records))
    if path is not None:
        from jsnn import plots

        plots.save(figure(records), path)


if __name__ == "__main__":
    command(main, unwinds=True)
