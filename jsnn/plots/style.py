"""What all figures share: colours, type, a title, a heat map, and how a figure is written."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import cm, patches
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

INK, MUTED, FAINT, ACCENT = "#1a1a1a", "#6b6b6b", "#c8c8c8", "#d55e00"
COLOURS = ("#e69f00", "#009e73", "#cc79a7", "#0072b2", "#56b4e9", "#8c6d1f")  # Okabe & Ito
DASHES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)), (0, (9, 3)))
CHANCE: Any = {"color": MUTED, "linewidth": 0.8}
BLUES = ("#f1f5f0", "#c4e4d4", "#7cc8c1", "#3a9dbd", "#2670a9", "#213f8a", "#10174f")
HEAT = LinearSegmentedColormap.from_list("jsnn", BLUES)  # lightness falls evenly: readable without colour
STYLE: Any = {
    "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "savefig.dpi": 150,
    "figure.titlesize": 12, "figure.titleweight": "bold", "axes.titlesize": 10, "axes.titlepad": 7,
    "axes.labelcolor": INK, "axes.edgecolor": MUTED, "axes.spines.top": False, "axes.spines.right": False,
    "grid.color": "#e6e6e6", "hatch.linewidth": 0.6, "figure.facecolor": "white", "legend.frameon": False,
    "xtick.color": MUTED, "xtick.labelcolor": INK, "ytick.color": MUTED, "ytick.labelcolor": INK,
}  # fmt: skip


def save(figure: Figure, path: str | Path) -> Path:
    """Write `figure` to `path` (150 dpi; PNG unless the suffix says otherwise), whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with mpl.rc_context(STYLE):
            figure.savefig(temporary, format=path.suffix[1:] or "png")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
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
    figure.suptitle(title, x=0.01, ha="left")
    text = textwrap.fill(" · ".join(note for note in notes if note), int(14 * figure.get_figwidth()))
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color=MUTED)
    return figure
