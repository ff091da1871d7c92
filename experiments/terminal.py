"""What the commands print: help, tables that fit the terminal, times; nothing from outside that a terminal obeys."""

import argparse
import codecs
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jsnn.core.text import name, plain

WIDTH = 80  # columns of a help text, at most
ASCII = str.maketrans({"–": "-", "—": "-", "·": ".", "…": "...", "±": "+-", "µ": "u", "×": "x", "“": '"', "”": '"'})  # noqa: RUF001


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Characters that an encoding has not: what stands for them in ASCII, and for lines of a table."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end].translate(ASCII)
    found = "".join("-" if "─" <= c <= "╿" else c for c in found)
    return found.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error("jsnn.ascii", _in_ascii)


def prepare_streams() -> None:
    """Print whatever there is to be printed, in any encoding of the terminal."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="jsnn.ascii")


def user_path(text: str) -> Path:
    """A path among the arguments: `~` is the home directory, also after the `=` of --out=~/x."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{plain(text)}: {error}") from None


class Help(argparse.RawDescriptionHelpFormatter):
    """Help in as many columns as there are, 80 at most: paragraphs are filled, indented lines are kept."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(shutil.get_terminal_size().columns, WIDTH + 2) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = []
        for paragraph in re.split(r"\n\n+", text.strip()):
            rows: list[str] = []
            for line in paragraph.splitlines():
                if not line.startswith(" ") and rows and not rows[-1].startswith(" "):
                    rows[-1] += f" {line}"
                else:
                    rows.append(line)
            parts.append("\n".join(_filled(indent + row, width) for row in rows))
        return "\n\n".join(parts)


def _filled(row: str, width: int) -> str:
    """A paragraph, or an indented line: a command goes on after a backslash, as in a shell."""
    start = row[: len(row) - len(row.lstrip())]
    if not start:
        return textwrap.fill(row, width, break_on_hyphens=False)
    row = row.strip()
    is_command = re.search(r"^\S*(python|pip)\S* [^(]*$", row)
    if is_command:  # what is quoted is one word
        row = re.sub(r"'[^']*'", lambda quoted: quoted[0].replace(" ", "\0"), row)
    room = width - len(start)
    lines = (
        textwrap.wrap(row, room - 4, break_on_hyphens=False, break_long_words=False) if len(row) > room else [row]
    )
    text = (" \\\n" if is_command else "\n").join(start + "    " * bool(i) + line for i, line in enumerate(lines))
    return text.replace("\0", " ")


class Parser(argparse.ArgumentParser):
    """The arguments of a command."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description, formatter_class=Help)

    def error(self, message: str) -> Any:
        """Say how the command is used and what is wrong, on one line; exit code 2."""
        super().error(plain(message))


def warn(message: str) -> None:
    """A line on stderr."""
    print(f"warning: {plain(message)}", file=sys.stderr)


def percent(accuracy: float | None) -> str:
    """87.3, or a dash."""
    return "–" if accuracy is None else f"{100 * accuracy:.1f}"


def clock(seconds: float) -> str:
    """1:02:03 for hours, minutes and seconds; 0:02:03."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


class Table:
    """A table that fits: names are folded where there is no room, numbers never; where even that is too wide, or for
    less than two columns, it is a plain list. Title and caption are as wide as the terminal. For rich's `print`.

    `names` are the headings of the first columns, `numbers` those of the others; a name that stands in the first column
    of the row above is not repeated. A number's column has room for `least` characters, so that it does not grow while
    numbers come in. Lines end where their text does, and in a file none is empty.
    """

    def __init__(
        self, names: Sequence[str], numbers: Sequence[str], title: str = "", caption: str = "", least: int = 0
    ) -> None:
        self.names, self.numbers, self.title, self.caption, self.least = names, numbers, title, caption, least
        self.rows: list[tuple[Any, ...]] = []

    def add(self, *cells: Any) -> None:
        """A row: strings, or rich's Text."""
        from rich.text import Text

        self.rows.append(tuple(cell if isinstance(cell, Text) else Text(name(cell)) for cell in cells))

    def widths(self, room: int, word: int) -> list[int] | None:
        """Of the columns, in so many columns of a terminal; None where there are too few. A name is broken after
        `word` characters only.
        """
        from rich.cells import cell_len

        least, most = [], []
        for i, heading in enumerate([*self.names, *self.numbers]):
            cells, words = [row[i].cell_len for row in self.rows], [len(part) for part in heading.split()]
            if i < len(self.names):
                words += [cell_len(part) for row in self.rows for part in row[i].plain.split()]
                least.append(min(max(words, default=1), word))
            else:
                least.append(max([self.least, *words, *cells]))
            most.append(max([least[-1], len(heading), *cells]))
        spare = room - sum(least) - len(least) + 1
        if spare < 0:
            return None
        widths = list(least)
        for part in (range(len(self.names)), range(len(self.names), len(least))):  # headings of numbers come last
            wanted = {i: most[i] - least[i] for i in part}
            total = max(sum(wanted.values()), 1)
            for i, n in wanted.items():
                widths[i] += n if spare >= total else spare * n // total
            spare = max(0, spare - total)
        return widths

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich import box
        from rich.table import Table as Rich
        from rich.text import Text

        if self.title:
            yield Text(plain(self.title), style="bold")
        widths = self.widths(options.max_width, 9) or self.widths(options.max_width, 6)
        if widths is None:
            yield from self._list()
        elif self.rows:
            wide = sum(widths) + 3 * (len(widths) - 1) <= options.max_width  # room for a space on either side
            ascii_head = box.Box(str(box.SIMPLE_HEAD).replace("─", "-"), ascii=True)
            lines = ascii_head if options.ascii_only else box.SIMPLE_HEAD
            table = Rich(box=lines, show_edge=False, pad_edge=False, padding=(0, 1 if wide else 0))
            for i, heading in enumerate([*self.names, *self.numbers]):
                justify = "left" if i < len(self.names) else "right"
                table.add_column(Text(heading), width=widths[i], justify=justify, overflow="fold")
            for row, above, below in zip(self.rows, [None, *self.rows], [*self.rows[1:], None], strict=False):
                first = Text("") if len(self.names) > 1 and above and above[0] == row[0] else row[0]
                ends = len(self.names) > 1 and below is not None and below[0] != row[0]
                table.add_row(first, *row[1:], end_section=ends and console.is_terminal)
            yield from _stripped(console.render_lines(table, options, pad=False))
        if self.caption:
            yield Text(plain(self.caption))

    def _list(self) -> Any:
        from rich.text import Text

        n = len(self.names)
        for row in self.rows:
            line = Text(" x ").join(row[:n])
            line.append(": " if n else "")
            cells = [Text(f"{heading} ").append_text(cell) for heading, cell in zip(self.numbers, row[n:], strict=True)]
            yield line.append_text(Text(", ").join(cells))


def _stripped(lines: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """The segments of rich's lines without the blanks at their ends."""
    from rich.segment import Segment

    for line in lines:
        left = len("".join(part.text for part in line).rstrip())
        for part in line:
            yield Segment(part.text[:left], part.style)
            left = max(0, left - len(part.text))
        yield Segment.line()
