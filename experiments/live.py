"""A run, watched: a live table with what is being done and how long the rest will take, or plain lines."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ending
from ending import STOP
from terminal import Table, clock, percent

from jsnn.core.text import name, plain
from jsnn.grid.observer import Observer

EVERY = 20.0  # seconds between two lines, where nothing can be drawn over
SHORT = 2.0  # seconds that are measured before anything is said of the rest
ANSWERING = 0.5  # an answer, and its programs, take of what training does, while that has not been measured
BURST = 0.2  # seconds after the first progress of a phase, whose work was done while it compiled


class Forecast:
    """How long the rest of a run takes, from what has been measured of it.

    The trials of a lane are trained, then they answer: two phases of different speed, each of which begins with
    compiling. So its speed is that from its first progress on, and what came before is expected again for each program
    that is still to come. Presentations are weighed by what those of their trials may cost (`cost_of`).
    """

    def __init__(self, entries: Sequence[Any], training: int, answers: int) -> None:
        self.total, self.share = training + answers, training / max(training + answers, 1)
        self.costs = {id(entry): cost_of(entry.trial) for entry in entries}  # of the trials to come
        self.programs = {program_of(entry.trial) for entry in entries}  # likewise
        self.cost = sum(self.costs.values()) / max(len(self.costs), 1)  # of this lane's
        self.new = 0  # programs that this lane is the first to need
        self.done = 0  # presentations
        self.left = {"training": 0, "answers": 0}  # of this lane
        self.phase, self.first = "", False
        self.began = self.last = 0.0  # when the phase did, and when its progress was heard of
        self.here: dict[str, list[float]] = {}  # work and seconds, measured in this lane
        self.ever: dict[str, list[float]] = {}  # and in all of them
        self.compiled: dict[str, list[float]] = {}  # seconds and programs

    def lane(self, entries: Sequence[Any], presentations: int) -> None:
        """The trials that are next, and how many presentations of theirs are still to come."""
        costs = [self.costs.pop(id(entry), None) or cost_of(entry.trial) for entry in entries]
        programs = {program_of(entry.trial) for entry in entries}
        self.new, self.programs = len(programs & self.programs), self.programs - programs
        self.cost, self.here, self.phase = sum(costs) / max(len(costs), 1), {}, ""
        self.left = {"training": 0, "answers": presentations}

    def begin(self, phase: str, presentations: int, now: float) -> None:
        """The lane is trained now, or answers."""
        if phase == "training":
            self.left["answers"] -= presentations - self.left["training"]
        else:  # a last batch that is not full is left out
            self.done += self.left["training"]
            presentations, self.left["training"] = self.left["answers"], 0
        self.left[phase] = presentations
        self.phase, self.first, self.began, self.last = phase, True, now, now

    def progress(self, presentations: int, now: float) -> None:
        """So many more were shown."""
        self.done += presentations
        if self.phase:
            self.left[self.phase] = max(0, self.left[self.phase] - presentations)
        if self.first:
            self.first, self.last = False, now
            if self.new:
                seconds, programs = self.compiled.get(self.phase, (0.0, 0))
                self.compiled[self.phase] = [seconds + now - self.began, programs + self.new]
            self.here[self.phase] = [0.0, 0.0]
        elif now - self.last >= BURST or self.here[self.phase][1]:
            for measured in (self.here, self.ever):
                work, seconds = measured.get(self.phase, (0.0, 0.0))
                measured[self.phase] = [work + presentations * self.cost, seconds + now - self.last]
            self.last = now

    def speed(self) -> float | None:
        """Presentations a second, in this phase."""
        work, seconds = self.here.get(self.phase, (0.0, 0.0))
        return work / self.cost / seconds if seconds >= SHORT else None

    def remaining(self, now: float) -> float | None:
        """Seconds; None while nothing is known."""
        future = max(0, self.total - self.done - sum(self.left.values()))
        cost = sum(self.costs.values()) / len(self.costs) if self.costs else self.cost
        total = 0.0
        for phase, share in (("training", self.share), ("answers", 1 - self.share)):
            here = self._seconds(self.here, phase) or self._seconds(self.ever, phase)
            ever = self._seconds(self.ever, phase)
            if not here or not ever:
                return None
            total += self.left[phase] * self.cost * here + future * share * cost * ever
            total += self._compiling(phase, bool(future), now)
        return total

    def _seconds(self, measured: dict[str, list[float]], phase: str) -> float | None:
        """A unit of work takes; guessed from the other phase while it is not known of this one."""
        known = {p: seconds / work for p, (work, seconds) in measured.items() if seconds >= SHORT}
        return _guessed(known, phase)

    def _compiling(self, phase: str, more: bool, now: float) -> float:
        """Seconds that compiling the programs of a phase will still take."""
        each = _guessed({p: seconds / n for p, (seconds, n) in self.compiled.items()}, phase) or 0.0
        waiting = self.phase == phase and self.first
        to_come = len(self.programs) * more
        if waiting or (phase == "answers" and self.phase == "training"):
            to_come += self.new
        return max(0.0, to_come * each - (now - self.began) * waiting)


def _guessed(known: dict[str, float], phase: str) -> float | None:
    """What is known of a phase, or follows from the other."""
    ratio = {"training": 1.0, "answers": ANSWERING}
    return known.get(phase) or next((x * ratio[phase] / ratio[other] for other, x in known.items()), None)


def cost_of(trial: Any) -> float:
    """What a presentation of this trial may cost, beside others."""
    return float(trial.inputs.n_steps * trial.network.n_neurons)


def program_of(trial: Any) -> Any:
    """What trials of one compiled program share."""
    return trial.learner.program(trial)


@contextlib.contextmanager
def counted(total: int, of: str) -> Iterator[Callable[[int], None]]:
    """Count presentations of a run on stderr, and say how long the rest may take: what it gives hears of each few
    more.
    """
    from rich.console import Console as Rich
    from rich.text import Text

    rich, began, done = Rich(stderr=True, highlight=False), time.monotonic(), 0
    said = began
    if not rich.is_interactive:
        rich.print(Text(plain(f"{of}: {total:,} presentations")), soft_wrap=True)
    with rich.status(f"0 of {total:,} presentations") as status:

        def advance(n: int) -> None:
            nonlocal said, done
            done, now = done + n, time.monotonic()
            line = f"{clock(now - began)}  {done:,} of {total:,} presentations ({100 * done // max(total, 1)} %)"
            line += f", about {clock((total - done) * (now - began) / done)} left" if done else ""
            if rich.is_interactive:
                status.update(Text(line))
            elif now - said >= EVERY:
                said = now
                rich.print(Text(line), soft_wrap=True)

        yield advance


class Console(Observer):
    """A live table of the matrix, above it how far the run is; where there is no terminal that can be drawn over, plain
    lines: at the start, at each finished trial, and every 20 seconds.

    `training` and `answers` are the presentations of the whole run; `evaluated` says of what the accuracies are, and
    `of_cell` which of its trials' accuracies stands for a cell: the mean, or the best.
    """

    def __init__(
        self,
        entries: Sequence[Any],
        title: str,
        training: int,
        answers: int,
        evaluated: str,
        of_cell: str = "mean",
        quiet: bool = False,
        open_log: Callable[[], Any] | None = None,
        interrupted: Callable[[], bool] = lambda: False,
        rich: Any = None,
    ) -> None:
        from rich.console import Console as Rich

        self.rich = rich or Rich(quiet=quiet, highlight=False)
        self.title, self.evaluated, self.of_cell, self.interrupted = title, evaluated, of_cell, interrupted
        self.forecast = Forecast(entries, training, answers)
        self.rules = list(dict.fromkeys(e.rule for e in entries))
        self.rows = list(dict.fromkeys((e.encoder, e.neuron) for e in entries))
        self.interims: dict[tuple[str, ...], float] = {}
        self.records: dict[tuple[str, ...], list[float]] = {}
        self.baseline: dict[str, Any] | None = None
        self.began = self.shown = self.since = time.monotonic()
        self.who, self.doing, self.note = "", "", ""
        self.live: Any = None
        self.over = threading.Event()
        self.open_log, self.log = open_log, None  # of TensorBoard

    def table(self) -> Table:
        """The matrix as it stands: final accuracies, and in grey those of the training window just finished."""
        from rich.text import Text

        caption = f"accuracy on {self.evaluated}, %"
        if any(len(found) > 1 for found in self.records.values()):
            caption += f" ({self.of_cell} of a cell's trials)"
        if any(key not in self.records for key in self.interims):
            caption += "; ~ is the accuracy on the last window of training images, so far"
        names = [name(rule) for rule in self.rules]
        table = Table(("encoder", "neuron"), names, title=self.title, caption=caption, least=6)
        for encoder, neuron in self.rows:
            table.add(encoder, neuron, *(self.cell((encoder, neuron, rule)) for rule in self.rules))
        if self.baseline:
            blank = [Text("")] * (len(names) - 1)
            table.add("ANN", self.baseline["neuron"], Text(percent(self.baseline["accuracy"]), style="bold"), *blank)
            table.caption += "; the ANN learns by backpropagation"
        return table

    def cell(self, key: tuple[str, ...]) -> Any:
        """One cell of the table."""
        from rich.text import Text

        if found := self.records.get(key):
            return Text(percent(max(found) if self.of_cell == "best" else sum(found) / len(found)), style="bold")
        return Text(f"~{percent(self.interims[key])}" if key in self.interims else "·", style="dim")

    def __enter__(self) -> "Console":
        STOP.patience = ending.SHORT
        if self.rich.is_interactive:
            from rich.live import Live

            self.live = Live(get_renderable=self.render, console=self.rich, refresh_per_second=4, transient=True)
            self.live.start()
        else:
            self.say(f"{self.title}, {self.forecast.total:,} presentations in all")
            threading.Thread(target=self.keep_saying, daemon=True).start()
        return self

    def render(self) -> Any:
        """How far it is, and the table."""
        from rich.console import Group
        from rich.text import Text

        width = min(60, self.rich.width)
        filled = min(width, width * self.forecast.done // max(self.forecast.total, 1))
        bar = Text.assemble(("━" * filled, "green"), ("╌" * (width - filled), "dim"))
        return Group(Text(self.position()), bar, Text(self.activity()), Text(""), self.table())

    def position(self) -> str:
        """How much is done, and how long the rest will take."""
        now = time.monotonic()
        total, left = self.forecast.total, self.forecast.remaining(now)
        done = min(self.forecast.done, total)  # a damaged state is made again
        rest = "estimating the time left" if left is None else f"about {clock(left)} left"
        share = f"{100 * done // max(total, 1)} %"
        return f"{clock(now - self.began)}  {done:,} of {total:,} presentations ({share}), {rest}"

    def activity(self) -> str:
        """What is being done, by whom, and for how long or how fast."""
        seconds, speed = time.monotonic() - self.since, self.forecast.speed()
        counted = self.doing in ("training", "answers")
        if counted and not self.forecast.first and self.forecast.left[self.doing]:
            how = f"{self.doing}, {speed:,.0f} presentations/s" if speed else self.doing
            return ", ".join(filter(None, [f"{self.who}: {how}", self.note]))
        stage = "compiling" if self.forecast.first else "finishing"
        what = f"{self.who}: {stage} ({self.doing})" if counted else self.doing
        return f"{what or 'starting'}, for {clock(seconds)}"

    def say(self, text: str) -> None:
        """A line, from outside in part."""
        from rich.text import Text

        self.shown = time.monotonic()
        self.rich.print(Text(plain(text)), soft_wrap=True)

    def keep_saying(self) -> None:
        """A line whenever nothing was said for a while, whatever the run is waiting for."""
        while not self.over.wait(1.0):
            if time.monotonic() - self.shown >= EVERY:
                self.say(f"{self.position()}; {self.activity()}")

    def __exit__(self, *_: object) -> None:
        STOP.patience = 0.0
        self.over.set()
        if self.live is not None:
            self.live.stop()
        if self.log is not None:
            self.log.close()
        if self.records or self.interims:
            self.rich.print(self.table())

    # --- jsnn.grid.observer.Observer
    def lane(self, number: int, entries: Sequence[Any], presentations: int) -> None:
        """The trials that are next."""
        STOP.patience = ending.SHORT
        encoders = ", ".join(dict.fromkeys(name(e.encoder) for e in entries))
        self.who = f"{encoders}, {len(entries)} trial{'s' * (len(entries) > 1)}"
        self.forecast.lane(entries, presentations)
        self.doing, self.since, self.note = "starting", time.monotonic(), ""

    def phase(self, what: str, presentations: int = 0) -> None:
        """What comes next."""
        self.doing, self.since = what, time.monotonic()
        if what in ("training", "answers"):
            self.forecast.begin(what, presentations, self.since)
            if self.live is None:
                self.say(f"{self.position()}; {self.who}: {what}")

    def earlier(self, n: int) -> None:
        """They have no part in the speed."""
        self.forecast.done += n

    def progress(self, n: int) -> None:
        """So many more presentations."""
        if self.interrupted():
            raise KeyboardInterrupt
        self.forecast.progress(n, time.monotonic())

    def interim(self, entry: Any, seen: int, measured: dict[str, float]) -> None:
        """Grey number in the table; what else was measured beside the speed; all of it in TensorBoard's log."""
        STOP.patience = ending.LONG  # there is something to save
        self.interims[entry.encoder, entry.neuron, entry.rule] = measured["accuracy"]
        more = [f"{what} {value:.4g}" for what, value in measured.items() if what != "accuracy"]
        self.note = ", ".join([*more, f"{percent(measured['accuracy'])} %"]) if more else ""
        if self.open_log is not None:
            self.log = self.log or self.open_log()
            own = [f"{path.split('.')[-1]} {value}" for path, value in entry.overrides.items() if path != "run.seed"]
            seed = f"seed {int(entry.trial.inputs.seed)}"
            trial = "/".join(plain(part) for part in (entry.encoder, entry.neuron, entry.rule, seed, *own))
            for what, value in measured.items():
                self.log.add_scalar(f"{trial}/{what}", value, seen)

    def finished(self, record: dict[str, Any]) -> None:
        """Final number in the table."""
        STOP.patience = 0.0
        key = record["encoder"], record["neuron"], record["rule"]
        if record["encoder"] == "none":
            self.baseline = record
        else:
            self.records.setdefault(key, []).append(record["accuracy"])
        if self.live is None:
            own = [f"{path.split('.')[-1]} {value}" for path, value in record["overrides"].items()]
            trial = ", ".join([" x ".join(key), *own, f"seed {record['seed']}"])
            self.say(f"  {trial}: {percent(record['accuracy'])} % of {self.evaluated}")

    def chose(self, condition: str, way: str, why: str) -> None:
        """A line above the table."""
        self.say(f"  {condition}: by {way} ({why})")

    def warn(self, message: str) -> None:
        """A line above the table."""
        from rich.text import Text

        self.rich.print(Text.assemble(("warning: ", "yellow"), plain(message)), soft_wrap=True)
