"""What the commands share: arguments, the live table, exit codes."""

import argparse
import importlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rivals.clock import cores
from terminal import Parser, prepare_streams, user_path

from jsnn.errors import Deserted, InputError
from jsnn.text import plain

os.environ["MPLBACKEND"] = "agg"  # figures are files: a display, and what is said of it, has no part in them

COMPILATION_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jsnn" / "xla"


def prepare_jax() -> None:
    """Settings that must precede JAX's first computation: compiled programs are kept on disk, memory by the process,
    logs are quiet.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax

    from jsnn import grid

    grid.keep_memory()

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(COMPILATION_CACHE))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


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


def percent(accuracy: float | None) -> str:
    """87.3, or a dash."""
    return "–" if accuracy is None else f"{100 * accuracy:.1f}"


class Console:
    """A live table of the matrix with progress bars under it; plain lines where there is no terminal."""

    def __init__(
        self,
        entries: Sequence[Any],
        title: str,
        total: int,
        evaluated: str,
        quiet: bool = False,
        open_log: Callable[[], Any] | None = None,
    ) -> None:
        from rich.console import Console as Rich
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.rich, self.entries, self.title = Rich(quiet=quiet), entries, title
        self.evaluated = evaluated  # on what the networks are evaluated
        self.names = {
            axis: list(dict.fromkeys(getattr(e, axis) for e in entries)) for axis in ("encoder", "neuron", "rule")
        }
        self.interims: dict[tuple[str, ...], float] = {}
        self.records: dict[tuple[str, ...], list[float]] = {}
        self.baseline: dict[str, Any] | None = None
        self.bars = Progress(
            TextColumn("{task.description:24}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self.rich,
            auto_refresh=False,
        )
        self.whole = self.bars.add_task("presentations, all", total=total, rate="")
        self.part = None
        self.live: Any = None
        self.began = self.shown = time.monotonic()
        self.done = 0
        self.note = ""
        self.open_log, self.log = open_log, None  # of TensorBoard

    def table(self) -> Any:
        """The matrix as it stands: final accuracies, and in grey those of the training window just finished."""
        from rich.table import Table

        table = Table(title=self.title, title_style="bold", header_style="bold", caption_justify="left")
        table.caption = f"accuracy on {self.evaluated}, %" + (
            " (mean of a cell's trials)" if any(len(v) > 1 for v in self.records.values()) else ""
        )
        table.caption += "; ~ is the accuracy on the last window of training images, so far"
        table.add_column("encoder")
        table.add_column("neuron")
        for rule in self.names["rule"]:
            table.add_column(rule.replace("_", " "), justify="right")
        for encoder in self.names["encoder"]:
            for i, neuron in enumerate(self.names["neuron"]):
                last = i == len(self.names["neuron"]) - 1
                cells = [self.cell((encoder, neuron, rule)) for rule in self.names["rule"]]
                table.add_row(
                    encoder.replace("_", " ") if i == 0 else "", neuron.replace("_", " "), *cells, end_section=last
                )
        if self.baseline:
            table.add_row("ANN 784-100-10", "relu", f"{percent(self.baseline['accuracy'])} backprop")
        return table

    def cell(self, key: tuple[str, ...]) -> str:
        """One cell of the table."""
        if key in self.records:
            return f"[bold]{percent(sum(self.records[key]) / len(self.records[key]))}[/bold]"
        return f"[dim]~{percent(self.interims[key])}[/dim]" if key in self.interims else "[dim]·[/dim]"

    def __enter__(self) -> "Console":
        if self.rich.is_terminal:
            from rich.live import Live

            self.live = Live(get_renderable=self.render, console=self.rich, refresh_per_second=4, transient=True)
            self.live.start()
        return self

    def render(self) -> Any:
        """Table and bars, one above the other."""
        from rich.console import Group

        return Group(self.table(), self.bars)

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()
        if self.log is not None:
            self.log.close()
        if self.records or self.interims:
            self.rich.print(self.table())

    # --- jsnn.runs.Observer
    def lane(self, number: int, entries: Sequence[Any], presentations: int) -> None:
        """A new bar."""
        if self.part is not None:
            self.bars.remove_task(self.part)
        encoders = ", ".join(dict.fromkeys(e.encoder.replace("_", " ") for e in entries))
        self.part = self.bars.add_task(f"{encoders}: {len(entries)} trials", total=presentations, rate="compiling")
        if self.live is None:
            self.rich.print(f"{encoders}: {len(entries)} trials, {presentations} presentations")

    def earlier(self, n: int) -> None:
        """Move the bar of all; it has no part in the rate."""
        task = self.bars.tasks[0]
        self.bars.reset(self.whole, total=task.total, completed=int(task.completed) + n, rate="")

    def progress(self, n: int) -> None:
        """Move the bars; without a terminal, say a line every 20 seconds."""
        if INTERRUPTED.is_set():
            raise KeyboardInterrupt
        self.done += n
        now = time.monotonic()
        rate = f"{self.done / max(now - self.began, 1e-9):,.0f}/s  {self.note}".strip()
        for task in (self.whole, self.part):
            if task is not None:
                self.bars.update(task, advance=n, rate=rate)
        if self.live is None and now - self.shown > 20:
            self.shown = now
            task = self.bars.tasks[0]
            done, total = int(task.completed), int(task.total or 0)
            seconds = (total - done) / max(self.done / (now - self.began), 1e-9)
            self.rich.print(f"  {done}/{total} presentations, {rate}, about {seconds:.0f} s left")

    def interim(self, entry: Any, seen: int, measured: dict[str, float]) -> None:
        """Grey number in the table; what else was measured beside the bar; all of it in TensorBoard's log."""
        self.interims[entry.encoder, entry.neuron, entry.rule] = measured["accuracy"]
        more = [f"{what} {value:.4g}" for what, value in measured.items() if what != "accuracy"]
        self.note = ", ".join([*more, f"{percent(measured['accuracy'])} %"]) if more else ""
        if self.open_log is not None:
            self.log = self.log or self.open_log()
            inputs = entry.trial.inputs
            own = [f"{path.split('.')[-1]} {value}" for path, value in entry.overrides.items() if path != "run.seed"]
            trial = "/".join([entry.encoder, entry.neuron, entry.rule, f"seed {int(inputs.seed)}", *own])
            for what, value in measured.items():
                self.log.add_scalar(f"{trial}/{what}", value, seen)

    def finished(self, record: dict[str, Any]) -> None:
        """Final number in the table."""
        key = record["encoder"], record["neuron"], record["rule"]
        if record["encoder"] == "none":
            self.baseline = record
        else:
            self.records.setdefault(key, []).append(record["accuracy"])
        if self.live is None:
            self.rich.print(
                f"  {' x '.join(key)}, seed {record['seed']}: {percent(record['accuracy'])} % of {self.evaluated}",
                highlight=False,
            )

    def chose(self, entry: Any, way: str, why: str) -> None:
        """A line above the table."""
        self.rich.print(f"  {entry.encoder} x {entry.neuron} x {entry.rule}: by {way} ({why})", highlight=False)

    def warn(self, message: str) -> None:
        """A line above the table."""
        from rich.text import Text

        self.rich.print(Text.assemble(("warning: ", "yellow"), message), soft_wrap=True)


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
    prepare_jax()
    from jsnn import config, data, grid, runs, study

    cfg = config.load(arguments.config, arguments.set)
    check(cfg)
    if arguments.distributed or arguments.join:
        grid.join(*joining(arguments.join))
    else:
        alone = len(cfg.entries) == 1 and study.in_lockstep(cfg.entries[0].trial)
        grid.use_cores(1 if alone else cores())
    out = arguments.out or Path("checkpoints") / cfg.study
    dataset = read_data(cfg, arguments.data_dir)
    schedule = runs.schedule_of(cfg, dataset)
    evaluated = data.SPLITS[dataset.split]
    title = f"{cfg.study}: {dataset.name}, {schedule.n_train} training images, {schedule.n_test} {evaluated}"
    if schedule.epochs > 1:
        title = title.replace(" training images", f" training images {schedule.epochs} times", 1)
    open_log = tensorboard(out / "tensorboard") if arguments.tensorboard and grid.is_first() else None
    total = schedule.n_presentations * len(cfg.entries)
    with Console(cfg.entries, title, total, evaluated, quiet=not grid.is_first(), open_log=open_log) as console:
        runs.run(cfg, dataset, out, console, resume=arguments.resume, clock=not arguments.no_clock)
    console.rich.print(f"results  {out / 'results.jsonl'}", highlight=False, markup=False, soft_wrap=True)
    if not arguments.no_figures and grid.is_first():
        from figures import draw

        with console.rich.status("drawing figures"):
            drawn = draw(out, dataset, console.warn)
        console.rich.print(
            f"figures  {drawn[0].parent}/ {{{', '.join(path.name for path in drawn)}}}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
