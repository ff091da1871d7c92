"""What the commands share: arguments, the live table, exit codes."""

import argparse
import functools
import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from live import Console
from rivals.clock import cores
from terminal import Parser, prepare_streams, user_path

from jsnn.errors import Deserted, InputError
from jsnn.text import plain

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

    from jsnn import files, grid, numerics
    from jsnn.data import cache

    warnings.showwarning = in_a_line
    check_xla_flags()
    numerics.fix()
    grid.keep_memory()
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


INTERRUPTED = threading.Event()


def interrupt(*_: object) -> None:
    """Handle Ctrl-C. Python drops an exception that is raised inside a callback of the garbage collector, of which
    JAX has one: the event is for who looks later (`Console.progress`).
    """
    INTERRUPTED.set()
    raise KeyboardInterrupt


def command(main: Callable[[], None]) -> None:
    """Run a command: exit code 0 done, 2 bad input (one line on stderr), 130 interrupted, 1 a defect of ours."""
    prepare_streams()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as it is in a shell's background jobs
        signal.signal(signal.SIGINT, interrupt)
    try:
        main()
    except InputError as error:
        print("error:", plain(" ".join(str(error).split())), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; go on with --resume", file=sys.stderr)
        sys.exit(130)
    except Deserted as error:
        why = f"another process of this job has stopped ({plain(error)})"
        print(f"error: {why}; start all with --resume", file=sys.stderr)
        sys.stderr.flush()
        os._exit(3)  # at once: JAX would wait for the others


def study_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of the commands that run a study."""
    parser = Parser(description)
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


def joining(text: str | None) -> tuple[str | None, int | None, int | None]:
    """HOST:PORT,N,I as the coordinator, the number of processes, and which of them this is."""
    if text is None:
        return None, None, None
    match = re.fullmatch(r"([^,]+:\d+),(\d+),(\d+)", text)
    if not match or int(match[3]) >= int(match[2]):
        raise InputError(f"--join {text}: it should be HOST:PORT,N,I with I from 0 to N - 1")
    return match[1], int(match[2]), int(match[3])


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
    prepare_jax(start=False)
    from jsnn import config, data, files, grid, runs, study

    cfg = config.load(arguments.config, arguments.set)
    check(cfg)
    if arguments.distributed or arguments.join:
        grid.join(*joining(arguments.join))
    else:
        alone = len(cfg.entries) == 1 and study.in_lockstep(cfg.entries[0].trial)
        grid.use_cores(1 if alone else cores())
    start_devices()
    out = arguments.out or Path("checkpoints") / cfg.study
    dataset = read_data(cfg, arguments.data_dir)
    schedule = runs.schedule_of(cfg, dataset)
    evaluated = data.SPLITS[dataset.split]
    title = f"{cfg.study}: {dataset.name}, {schedule.n_train} training images, {schedule.n_test} {evaluated}"
    if schedule.epochs > 1:
        title = title.replace(" training images", f" training images {schedule.epochs} times", 1)
    if not arguments.no_figures:
        files.check_writable(out / "figures")
    open_log = tensorboard(out / "tensorboard") if arguments.tensorboard and grid.is_first() else None
    n, n_answers = len(cfg.entries) * schedule.n_train * schedule.epochs, len(cfg.entries) * schedule.n_answers
    watch = functools.partial(Console, quiet=not grid.is_first(), open_log=open_log, interrupted=INTERRUPTED.is_set)
    with watch(cfg.entries, title, n, n_answers, evaluated) as console:
        runs.run(cfg, dataset, out, console, resume=arguments.resume, clock=not arguments.no_clock)
    console.say(f"results  {out / 'results.jsonl'}")
    if not arguments.no_figures and grid.is_first():
        from figures import draw

        with console.rich.status("drawing figures"), files.locked(out, console.warn):
            drawn = draw(out, dataset, console.warn)
        console.say(f"figures  {drawn[0].parent}/ {{{', '.join(path.name for path in drawn)}}}")
