"""What the commands share: arguments, the live table, exit codes."""

import argparse
import functools
import importlib
import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ending
from ending import STOP
from live import Console
from terminal import Parser, prepare_streams, user_path

from jsnn.core.errors import InputError
from jsnn.core.text import plain

os.environ["MPLBACKEND"] = "agg"  # figures are files: a display, and what is said of it, has no part in them


def prepare_jax(start: bool = True) -> None:
    """Settings that must precede JAX's first computation: compiled programs are kept on disk, memory by the process,
    logs are quiet, and no setting of the user's changes numbers unseen. Unless `start` is false the devices are then
    found (`start_devices`). Raises InputError for settings that cannot be.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import jax
    except ValueError as error:  # of a JAX_ variable
        raise InputError(f"{error}; see the variables of the environment whose names begin with JAX_") from None

    from jsnn.core import files, numerics
    from jsnn.data import cache
    from jsnn.grid import host

    warnings.showwarning = in_a_line
    check_xla_flags()
    numerics.fix()
    host.keep_memory()
    place = cache.compiled()
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and place is not None and files.unwritable(place) is None:
        jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    if start:
        start_devices()


def start_devices() -> None:
    """Have JAX find its devices. Raises InputError where it does not find those it is told to use."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        wanted = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError(f"JAX_PLATFORMS = {wanted}: JAX finds no such device ({error or 'not installed'})") from None


def check_xla_flags() -> None:
    """Raises InputError for XLA_FLAGS that XLA does not know; as it would end this process, it is asked in another."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    if any(not re.fullmatch(r"--xla_force_host_platform_device_count=\d{1,4}", flag) for flag in flags):
        ask = [sys.executable, "-c", "from jaxlib import xla_client; xla_client.make_cpu_client()"]
        done = subprocess.run(ask, capture_output=True, text=True, check=False)
        if done.returncode:
            found = re.search(r"^F.*?\] (.*)", done.stderr, re.MULTILINE)
            raise InputError(f"XLA_FLAGS = {os.environ['XLA_FLAGS']}: {found[1] if found else 'XLA refuses them'}")


def in_a_line(message: object, *_: object) -> None:
    """Show a warning of a library's, such as JAX's of a damaged program in its cache, which it compiles again."""
    print("warning:", plain(" ".join(str(message).split())), file=sys.stderr)


def command(main: Callable[[], None], hint: str = "", unwinds: bool = False) -> None:
    """Run a command: exit code 0 done, 2 bad input (one line on stderr), 1 a defect of ours; see `ending.run`."""
    prepare_streams()
    ending.run(main, hint, unwinds)


def stopping() -> bool:
    """Whether to stop now: all processes of a job after the same block."""
    from jsnn.grid import processes

    STOP.asked = processes.from_first(lambda: STOP.asked) or STOP.asked
    return STOP.asked is not None


def study_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of the commands that run a study."""
    parser = Parser(f"{description}\n\n{ending.CODES}")
    parser.add_argument("config", type=user_path, metavar="CONFIG", help="a study, see configs/*.toml")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change a number of the config, e.g. run.seed=1",
    )
    parser.add_argument(
        "--out",
        type=user_path,
        metavar="DIR",
        help="where results, checkpoints and figures go (default: checkpoints/<study>)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in DIR")
    parser.add_argument(
        "--data-dir", type=user_path, metavar="DIR", help="the four IDX files of the data set, instead of a download"
    )
    parser.add_argument(
        "--distributed", action="store_true", help="this is one of several processes that SLURM or Open MPI started"
    )
    parser.add_argument(
        "--join",
        metavar="HOST:PORT,N,I",
        help="this is process I of N, started by hand, each with the same command but for I; HOST is that of process 0",
    )
    parser.add_argument("--tensorboard", action="store_true", help="log what is measured in DIR/tensorboard, too")
    parser.add_argument("--no-figures", action="store_true", help="write results only")
    parser.add_argument(
        "--no-clock", action="store_true", help="leave clock readings out of the results: equal runs give equal bytes"
    )
    return parser


def joining(text: str) -> tuple[str, int, int]:
    """HOST:PORT,N,I as HOST:PORT of the first process, the number of processes, and which of them this is."""
    match = re.fullmatch(r"([^,]+:([0-9]{1,5})),([0-9]{1,6}),([0-9]{1,6})", text)
    if not match or not 0 < int(match[2]) < 2**16 or int(match[4]) >= int(match[3]):
        raise InputError(f"--join {text}: it should be HOST:PORT,N,I with I from 0 to N - 1")
    return match[1], int(match[3]), int(match[4])


def join(arguments: argparse.Namespace) -> None:
    """Become one of the processes of a job, if the arguments say so."""
    from jsnn.grid import processes

    if arguments.distributed and arguments.join:
        raise InputError("--distributed, --join: give one of them; --join is for processes that are started by hand")
    if arguments.distributed or arguments.join:
        job = processes.on_cluster() if arguments.distributed else (*joining(arguments.join), None)
        address, n, number, devices = job
        processes.join(address, n, number, devices, functools.partial(print, flush=True), ending.lost, ending.asked)


def tensorboard(directory: Path) -> Callable[[], Any]:
    """What opens TensorBoard's log in a directory, once there is something to write. Raises InputError where its
    library is not installed.
    """
    try:
        library = importlib.import_module("tensorboardX")
    except ImportError:
        raise InputError("--tensorboard needs tensorboardX: pip install -e '.[tensorboard]'") from None
    return lambda: library.SummaryWriter(str(directory))


def read_data(cfg: Any, data_dir: Path | None) -> Any:
    """The images of a study; the held-out ones in the place of the test images, if it is on those."""
    from rich.console import Console as Rich

    from jsnn import data

    with Rich(stderr=True).status(f"reading {cfg.data.name}"):
        if cfg.data.name in data.RECORDINGS:
            dataset = data.load_recordings(cfg.data.name, data_dir, cfg.run.n_steps)
        else:
            dataset = data.load(cfg.data.name, data_dir)
    return dataset.held_out(cfg.data.n_validation) if cfg.data.n_validation else dataset


def run_study(arguments: argparse.Namespace, check: Callable[[Any], None] = lambda cfg: None) -> None:
    """What matrix.py and train.py do: read the config and the data, run with a live table, draw the figures."""
    if arguments.distributed or arguments.join:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "4"  # XLA, too, says something of a process that is gone: many lines
    prepare_jax(start=False)
    from rivals.clock import cores

    from jsnn import data, runs
    from jsnn.core import files
    from jsnn.grid import host, processes
    from jsnn.runs import config

    join(arguments)
    cfg = config.load(arguments.config, arguments.set)
    check(cfg)
    if processes.n_processes() == 1:
        first = cfg.entries[0].trial
        alone = len(cfg.entries) == 1 and first.learner.needs_one_device(first)
        host.use_cores(1 if alone else cores())
    start_devices()
    out = arguments.out or Path("checkpoints") / cfg.study
    if not arguments.no_figures:
        files.check_writable(out / "figures")
    processes.from_first(lambda: runs.holds_run(out, arguments.resume))
    dataset = read_data(cfg, arguments.data_dir)
    schedule = runs.schedule_of(cfg, dataset)
    evaluated = data.SPLITS[dataset.split]
    title = f"{cfg.study}: {dataset.name}, {schedule.n_train} training images, {schedule.n_test} {evaluated}"
    if schedule.epochs > 1:
        title = title.replace(" training images", f" training images {schedule.epochs} times", 1)
    open_log = tensorboard(out / "tensorboard") if arguments.tensorboard and processes.is_first() else None
    n, n_answers = len(cfg.entries) * schedule.n_train * schedule.epochs, len(cfg.entries) * schedule.n_answers
    watch = functools.partial(Console, quiet=not processes.is_first(), open_log=open_log, interrupted=stopping)
    with watch(cfg.entries, title, n, n_answers, evaluated) as console:
        runs.run(cfg, dataset, out, console, resume=arguments.resume, clock=not arguments.no_clock)
    console.say(f"results  {out / 'results.jsonl'}")
    draws = not arguments.no_figures and processes.is_first()
    processes.part()
    if draws:
        from figures import draw

        again = ["experiments/figures.py", str(out), "--out", str(out / "figures")]
        again += ["--data-dir", str(arguments.data_dir)] if arguments.data_dir else []
        STOP.hint = f"; results are complete, figures are not drawn: {shlex.join(again)}, or --resume"
        with console.rich.status("drawing figures"), files.locked(out, console.warn):
            drawn = draw(out, dataset, console.warn)
        console.say(f"figures  {drawn[0].parent}/ {{{', '.join(path.name for path in drawn)}}}")
