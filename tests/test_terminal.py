"""What the commands print fits the terminal, whatever that is, and obeys nothing that came from outside."""

import argparse
import importlib
import io
import os
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from jsnn.text import plain

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
