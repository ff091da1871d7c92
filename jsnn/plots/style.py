"""What all figures share: colours, type, a title, a heat map, and how a figure is written."""

import colorsys
import io
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import cm, patches
from matplotlib import figure as mpl_figure
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from jsnn.core import files
from jsnn.core.errors import InputError
from jsnn.core.text import plain

INK, MUTED, FAINT, ACCENT = "#1a1a1a", "#6b6b6b", "#c8c8c8", "#d55e00"
COLOURS = ("#e69f00", "#009e73", "#cc79a7", "#0072b2", "#56b4e9", "#8c6d1f")  # Okabe & Ito
DASHES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)), (0, (9, 3)))
CHANCE: Any = {"color": MUTED, "linewidth": 0.8}
BLUES = ("#f1f5f0", "#c4e4d4", "#7cc8c1", "#3a9dbd", "#2670a9", "#213f8a", "#10174f")
HEAT = LinearSegmentedColormap.from_list("jsnn", BLUES)  # lightness falls evenly: readable without colour
OWN: Any = {
    "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "savefig.dpi": 150,
    "figure.titlesize": 12, "figure.titleweight": "bold", "axes.titlesize": 10, "axes.titlepad": 7,
    "axes.labelcolor": INK, "axes.edgecolor": MUTED, "axes.spines.top": False, "axes.spines.right": False,
    "grid.color": "#e6e6e6", "hatch.linewidth": 0.6, "figure.facecolor": "white", "legend.frameon": False,
    "xtick.color": MUTED, "xtick.labelcolor": INK, "ytick.color": MUTED, "ytick.labelcolor": INK,
}  # fmt: skip
PROCESS = ("backend", "backend_fallback", "interactive", "toolbar", "timezone", "date.epoch")  # not of a figure
STYLE: Any = {key: value for key, value in mpl.rcParamsDefault.items() if key not in PROCESS} | OWN  # no matplotlibrc
FORMATS = (".png", ".pdf", ".svg", ".eps", ".jpg")


class Figure(mpl_figure.Figure):
    """A matplotlib figure that notebooks draw by themselves, without pyplot."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with mpl.rc_context(STYLE):
            self.savefig(file, format="png")
        return file.getvalue()


def colour(i: int) -> str:
    """The i-th of as many colours as are asked for, no two of them the same."""
    if i < len(COLOURS):
        return COLOURS[i]
    turn = (i - len(COLOURS)) * 0.618034  # of the hue: never twice the same, far from the one before
    red, green, blue = colorsys.hls_to_rgb(turn % 1, (0.3, 0.5, 0.65)[i % 3], 0.55)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def dash(i: int) -> Any:
    """The i-th of as many kinds of lines as are asked for."""
    return DASHES[i] if i < len(DASHES) else (0, (i - 1.0, 1.5, 1, 1.5, 1, 1.5))


def look(i: int) -> Any:
    """Colour and kind of the i-th line of a figure: no two lines have both in common."""
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": dash(i // len(COLOURS))}


def check_format(path: Path) -> None:
    """Raises InputError for the name of a file that no figure can be written to."""
    if path.suffix.lower() not in ("", *FORMATS):
        raise InputError(f"{path}: the name of a figure should end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if path.is_dir():
        raise InputError(f"{path} is a directory: it should be the name of a figure")


def save(figure: Figure, path: str | Path) -> Path:
    """Write `figure` to `path` (150 dpi; PNG unless the suffix says otherwise), whole or not at all."""
    path = Path(path)
    check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE), warnings.catch_warnings(), files.replacing(path) as file:
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in another script is a row of boxes
        figure.savefig(file, format=path.suffix[1:].lower() or "png")
    return path


def heat(axes: Axes, cells: Sequence[Sequence[tuple[float, str]]]) -> None:
    """Cells (percent, text), row 0 on top; NaN is hatched."""
    percent = np.array([[value for value, _ in row] for row in cells])
    axes.pcolormesh(percent, cmap=HEAT, vmin=0, vmax=100, edgecolors="white", linewidth=1.5)
    for (i, j), value in np.ndenumerate(percent):
        if np.isnan(value):
            box = (j + 0.02, i + 0.02), 0.96, 0.96
            axes.add_patch(patches.Rectangle(*box, fill=False, hatch="////", ec=FAINT, lw=0))
        else:
            ink = "white" if value > 57 else INK
            axes.text(j + 0.5, i + 0.5, cells[i][j][1], ha="center", va="center", color=ink)
    axes.set(xlim=(0, percent.shape[1]), ylim=(percent.shape[0], 0))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def colour_bar(figure: Figure, beside: Any, norm: Any, label: str, length: float, top: float = 0) -> Axes:
    """A colour bar of `length` inches, pointed where `top`, the greatest value, is beyond its end."""
    place: Any = {"fraction": 0.2 / figure.get_figwidth(), "aspect": length / 0.17, "pad": 0.02}
    place |= {"extend": "max" if top > norm.vmax else "neither", "extendfrac": 0.03, "shrink": 0.9}
    bar = figure.colorbar(cm.ScalarMappable(norm, HEAT), ax=beside, label=label, **place)
    bar.outline.set_visible(False)
    return bar.ax


def titled(figure: Figure, title: str, *notes: str) -> Figure:
    """Title top left; notes bottom left, in small print."""
    figure.suptitle(plain(title, 160), x=0.01, ha="left")
    text = textwrap.fill(" · ".join(plain(note) for note in notes if note), int(14 * figure.get_figwidth()))
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color=MUTED)
    return figure
