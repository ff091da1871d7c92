"""What the commands print fits the terminal, whatever that is, and obeys nothing that came from outside."""

import argparse
import importlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from jsnn.core.text import plain

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
COMMANDS = ("benchmark", "compare", "diagnose", "evaluate", "figures", "matrix", "prices", "prototypes", "readme")
COMMANDS += ("train", "tune")


@pytest.fixture(autouse=True)
def experiments(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)


def printed(renderable, width=80, encoding="utf-8", **options) -> str:
    """What rich prints in a terminal of this width."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding, errors="jsnn.ascii")
    Console(file=file, width=width, **options).print(renderable)
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x[/b]y [red] $a$", "x[/b]y [red] $a$"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\r\nb", r"a\r\nb"),
        ("\u202egnp\u200b", r"\u202egnp\u200b"),
        ("\udcff", r"\udcff"),
        ("λ é 中", "λ é 中"),
    ],
)
def test_text_from_outside_is_plain(text, shown):
    assert plain(text) == shown


def test_long_text_keeps_its_ends():
    shown = plain("begin" + 5000 * "x" + "end", 100)
    assert len(shown) <= 100 and shown.startswith("begin") and shown.endswith("end") and "characters" in shown
    assert len(plain(5000 * "\x1b", 48)) <= 48


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits(name, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as exit:
        importlib.import_module(name).main()
    assert exit.value.code == 0
    for line in re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines():
        unbroken = columns == 40 and ("[--" in line or line.endswith("\\"))  # a word is one
        assert len(line) <= min(columns, 80) or unbroken, line


def test_help_breaks_no_quoted_words(monkeypatch):
    from terminal import Parser

    monkeypatch.setenv("COLUMNS", "60")
    example = "  python tune.py STUDY.toml --data-dir ~/mnist --cell 'poisson x lif x stdp' --no-clock"
    shown = Parser(f"Tune.\n\n{example}").format_help()
    assert " 'poisson x lif x stdp' " in shown
    assert example.strip() in " ".join(shown.replace("\\\n", " ").split())


def test_a_path_may_begin_at_home(monkeypatch, tmp_path):
    from terminal import user_path

    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == tmp_path / "x" and user_path("x/~") == Path("x/~")
    with pytest.raises(argparse.ArgumentTypeError, match="home"):
        user_path("~nobody-of-this-name/x")


def test_arguments_are_shown_plainly(monkeypatch, capsys):
    import evaluate
    from console import command

    monkeypatch.setattr(sys, "argv", ["evaluate.py", "run", "\x1b[31mred"])
    with pytest.raises(SystemExit) as exit:
        command(evaluate.main)
    err = capsys.readouterr().err
    assert exit.value.code == 2 and "\x1b[31m" not in err and r"\x1b[31mred" in err


@pytest.mark.parametrize("run", ["x[/b]y", "[red]x", "\x1b[31mx", "x" * 200])
@pytest.mark.parametrize("name", ["evaluate", "diagnose", "figures", "prices"])
def test_a_run_that_is_not_there_is_one_plain_line(name, run, monkeypatch, capsys, tmp_path):
    from console import command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", run])
    with pytest.raises(SystemExit) as exit:
        command(importlib.import_module(name).main)
    err = capsys.readouterr().err
    assert exit.value.code == 2 and err.count("\n") == 1 and plain(run) in err and "\x1b" not in err and len(err) < 850


@pytest.mark.parametrize(
    ("out", "reason"), [("x.xyz", "should end in .png"), (".", "is a directory"), ("run/x.png", "Not a directory")]
)
def test_a_figure_that_cannot_be_written_is_said_before_the_work(out, reason, monkeypatch, capsys, tmp_path):
    import prices
    from console import command

    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").write_text("no run")
    monkeypatch.setattr(sys, "argv", ["prices.py", "not-there", "--out", out])
    with pytest.raises(SystemExit) as exit:
        command(prices.main)
    err = capsys.readouterr().err
    assert exit.value.code == 2 and reason in err and err.count("\n") == 1


def test_a_backend_that_does_not_exist_has_no_part_in_figures():
    command = [sys.executable, EXPERIMENTS / "prices.py", "--help"]
    environment = os.environ | {"MPLBACKEND": "nonsense", "PYTHONPATH": str(EXPERIMENTS.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0 and not done.stderr


NAMES, NUMBERS = ("encoder", "neuron", "rule"), ("accuracy", "drive", "output spikes", "silent images", "dead neurons")
NUMBERS += ("alike", "several at once")


def a_table(**options):
    from terminal import Table

    table = Table(NAMES, NUMBERS, title="x[/b]: \x1b[2J" + 3 * " 200 test images", caption="accuracy in %", **options)
    for encoder in ("poisson", "bindsnet_bernoulli"):
        for neuron in ("lif", "adaptive_lif", "[red]x", 70 * "n"):
            for rule in ("stdp", "weight_dependent_stdp"):
                table.add(encoder, neuron, rule, "78.0", "12,345", "100.5", "100.0", "0.0", "0.33", Text("9.1"))
    return table


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("width", [200, 80, 60, 30])
def test_a_table_cuts_no_number(width, encoding):
    text = printed(a_table(), width, encoding)
    assert all(len(line) <= width for line in text.splitlines()) and "\x1b" not in text
    words = text.split()
    for number in ("78.0", "12,345", "100.5", "100.0", "0.0", "0.33", "9.1"):
        assert sum(word.rstrip(",") == number for word in words) >= 16, number
    assert r"x[/b]: \x1b[2J 200 test images" in " ".join(words)
    assert ("alike" in words) and ("encoder" in words) == (width >= 80)  # a list below that
    assert "[red]x" in text


def test_names_have_the_room_before_headings():
    from terminal import Table

    table = Table(("neuron", "rule"), ("output spikes", "several at once"))
    table.add("adaptive_lif", "weight_dependent_stdp", "78.0", "100.0")
    lines = printed(table, 50).splitlines()
    assert lines[0].split() == ["output", "several"] and "adaptive lif weight dependent stdp" in lines[-1]


@pytest.mark.parametrize("terminal", [False, True])
def test_no_line_of_a_table_ends_in_blanks(terminal):
    text = re.sub(r"\x1b\[[\d;]*m", "", printed(a_table(), 100, force_terminal=terminal))
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert ("" in text.splitlines()) == terminal


def test_columns_stay_while_numbers_come_in():
    from terminal import Table

    def widths(*cells):
        table = Table(("neuron",), ("stdp", "weight dependent stdp"), least=6)
        table.add("lif", *cells)
        return table.widths(40, 9)

    assert widths("·", "·") == widths("~5.0", "·") == widths("100.0", "~99.99")


def test_a_title_is_as_wide_as_the_terminal():
    from terminal import Table

    table = Table(("neuron",), ("stdp",), title="a title that is wider than its table of a single cell")
    table.add("lif", "78.0")
    assert printed(table).splitlines()[0].rstrip() == table.title


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00:00"), (59.6, "0:01:00"), (3725, "1:02:05"), (-1, "0:00:00")])
def test_times_are_hours_minutes_and_seconds(seconds, shown):
    from terminal import clock

    assert clock(seconds) == shown


def test_any_character_can_be_printed_anywhere(monkeypatch):
    from terminal import prepare_streams

    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    prepare_streams()
    print("µ – ± … ├─┤ ━ 中 \udcff", flush=True)
    assert stream.buffer.getvalue() == rb"u - +- ... --- - \u4e2d \udcff" + os.linesep.encode()


# live


def entries(**tables):
    from jsnn.runs import config

    return config.parse({"study": "test", "network": {"n_neurons": 4}, "run": {"n_steps": 10}} | tables).entries


class Clock:
    """A run of lanes in simulated time: each phase compiles, then shows its images at a speed."""

    def __init__(self, entries, per_trial, compiling, speeds):
        from live import Forecast

        self.now, self.per_trial, self.compiling, self.speeds = 0.0, per_trial, compiling, speeds
        self.forecast = Forecast(entries, *(n * len(entries) for n in per_trial))
        self.guesses = []

    def lane(self, entries, new):
        n_trials = len(entries)
        self.forecast.lane(entries, n_trials * sum(self.per_trial))
        for phase, n in zip(("training", "answers"), self.per_trial, strict=True):
            self.forecast.begin(phase, n_trials * n, self.now)
            self.now += new * self.compiling
            for _ in range(20):
                self.guesses.append((self.now, self.forecast.remaining(self.now)))
                self.now += n_trials * n / 20 / self.speeds[phase]
                self.forecast.progress(n_trials * n // 20, self.now)

    def ratios(self):
        """Of what was guessed to what was left, from a tenth of the time to 95 % of it."""
        return [g / (self.now - at) for at, g in self.guesses if 0.1 * self.now < at < 0.95 * self.now and g]


def test_the_time_left_is_right_after_a_tenth_of_a_run():
    some = entries(matrix={"encoder": ["poisson", "bernoulli", "rank_order"], "neuron": ["if", "lif", "srm0"]})
    run = Clock(some, (2000, 1000), compiling=6.0, speeds={"training": 400.0, "answers": 800.0})
    for i, encoder in enumerate(("poisson", "bernoulli", "rank_order")):
        run.lane([e for e in some if e.encoder == encoder], new=3 if i == 0 else 0)
    assert all(0.5 < ratio < 2 for ratio in run.ratios()) and len(run.ratios()) > 80
    assert run.guesses[0][1] is None  # nothing is said while the first programs compile
    assert run.forecast.done == run.forecast.total


def test_lanes_of_other_sizes_take_other_times():
    some = entries(sweep={"run.n_steps": [10, 100]})
    run = Clock(some, (2000, 1000), compiling=1.0, speeds={"training": 100.0, "answers": 100.0})
    run.lane(some[:1], new=1)
    assert run.forecast.remaining(run.now) == pytest.approx(300 + 2, rel=0.15)  # ten times, and two programs


def test_what_was_done_earlier_is_not_in_the_speed():
    from live import Forecast

    some = entries()
    forecast = Forecast(some, 1000, 500)
    forecast.done += 900
    forecast.lane(some, 600)
    forecast.begin("training", 100, 10.0)
    for now in range(20, 30):
        forecast.progress(10, float(now))
    assert forecast.remaining(30.0) == pytest.approx(500 / 20 + 5, rel=0.1)
    forecast.begin("answers", 500, 30.0)
    assert forecast.done == 1000 and forecast.left == {"training": 0, "answers": 500}


class FakeTime:
    def __init__(self, monkeypatch):
        import live

        self.now = 1000.0
        monkeypatch.setattr(live.time, "monotonic", lambda: self.now)


def a_console(some, **options):
    from live import Console as Live

    file = io.StringIO()
    rich = Console(file=file, width=options.pop("width", 80), highlight=False, **options)
    return Live(some, "\x1b[2Ja title", 3200, 800, "test images", rich=rich), file


RECORD = {"encoder": "poisson", "neuron": "[red]", "rule": "stdp", "seed": 1, "overrides": {"rule.\x1b[1m": 0.5}}


@pytest.mark.parametrize("how", [{}, {"force_terminal": True, "_environ": {"TERM": "dumb"}}])
def test_without_a_terminal_lines_say_what_is_going_on(how, monkeypatch):
    import live

    monkeypatch.setattr(live, "EVERY", 0.0)
    time, some = FakeTime(monkeypatch), entries(matrix={"neuron": ["if", "lif"]})
    console, file = a_console(some, **how)
    console.keep_saying = lambda: None  # the thread: by hand
    console.over.wait = lambda seconds: console.over.is_set()
    with console:
        console.lane(0, some, 4000)
        console.phase("measuring dense of poisson x if x stdp")
        time.now += 75
        console.say(f"{console.position()}; {console.activity()}")
        console.phase("training", 3200)
        time.now += 21
        console.say(f"{console.position()}; {console.activity()}")
        for _ in range(10):
            time.now += 6
            console.progress(160)
        console.say(f"{console.position()}; {console.activity()}")
        console.finished(RECORD | {"accuracy": 0.5})
    lines = file.getvalue().splitlines()
    assert "\x1b" not in file.getvalue()
    assert lines[0] == r"\x1b[2Ja title, 4,000 presentations in all"
    assert any("measuring dense of poisson x if x stdp, for 0:01:15" in line for line in lines)
    assert any("estimating the time left; poisson, 2 trials: compiling (training), for 0:00:21" in x for x in lines)
    assert any("0:02:36  1,600 of 4,000 presentations (40 %), about 0:01:28 left" in line for line in lines), lines
    assert r"  poisson x [red] x stdp, \x1b[1m 0.5, seed 1: 50.0 % of test images" in lines


def test_a_line_comes_in_time_while_nothing_happens(monkeypatch):
    import live

    monkeypatch.setattr(live, "EVERY", 0.05)
    console, file = a_console(entries())
    waits = iter([False, False, True])
    console.over.wait = lambda seconds: __import__("time").sleep(0.06) or next(waits)
    console.keep_saying()
    assert file.getvalue().count("estimating the time left") == 2


@pytest.mark.parametrize("width", [30, 50, 80])
def test_the_live_table_fits(width, monkeypatch):
    time, some = FakeTime(monkeypatch), entries(matrix={"neuron": ["if", "lif"], "rule": ["stdp", "hebbian"]})
    console, file = a_console(some, width=width, force_terminal=True, _environ={"TERM": "xterm"})
    console.lane(0, some, 4000)
    console.phase("training", 3200)
    time.now += 40
    console.records["poisson", "if", "stdp"] = [0.78]
    console.interims["poisson", "lif", "hebbian"] = 0.123
    file.truncate(file.seek(0))
    console.rich.print(console.render())
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", file.getvalue())
    assert all(len(line) <= width for line in text.splitlines())
    words = " ".join(text.split())
    assert "78.0" in words and "~12.3" in words and "compiling (training), for 0:00:40" in words
    assert "~ is the accuracy" in words
    console.interims.clear()
    assert "~" not in console.table().caption


def test_no_color_is_honoured(monkeypatch):
    console, file = a_console(entries(), force_terminal=True, _environ={"TERM": "xterm", "NO_COLOR": "1"})
    console.warn("[bold]of \x1b[31m")
    assert "[3" not in file.getvalue().replace(r"\x1b[31m", "") and r"[bold]of \x1b[31m" in file.getvalue()


def test_presentations_are_counted_in_lines(monkeypatch, capsys):
    import live

    time = FakeTime(monkeypatch)
    with live.counted(1000, "a/run") as advance:
        for _ in range(4):
            time.now += 15
            advance(100)
    assert capsys.readouterr().err.splitlines() == [
        "a/run: 1,000 presentations",
        "0:00:30  200 of 1,000 presentations (20 %), about 0:02:00 left",
        "0:01:00  400 of 1,000 presentations (40 %), about 0:01:30 left",
    ]
