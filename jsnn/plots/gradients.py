"""Figures of networks that are trained by gradients, from the records of results.jsonl."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes

from jsnn.core.errors import InputError
from jsnn.core.text import LABEL, plain
from jsnn.data import SPLITS
from jsnn.plots.studies import label, word
from jsnn.plots.style import COLOURS, FAINT, STYLE, Figure, colour, look, titled

Record = Mapping[str, Any]
MARKERS = "osD^vP"
FEWEST = 0.01  # percent: where an axis of errors ends, as none has no logarithm


@mpl.rc_context(STYLE)
def progress(records: Sequence[Record]) -> Figure:
    """Errors in percent, on a logarithmic axis: of training against presentations, and of the images it is tested on
    after each step of a presentation. A line a cell and override, mean over seeds; a band from the best seed to the
    worst.

    Raises InputError where no record is of a network that was trained by gradients.
    """
    lines: dict[str, list[Record]] = {}
    for r in records:
        if "accuracy_after" in r:
            name = " x ".join(label(r[axis]) for axis in ("encoder", "neuron", "rule"))
            own = ", ".join(f"{word(path)} {value}" for path, value in r["overrides"].items())
            lines.setdefault(plain(f"{name} {own}".strip(), 3 * LABEL), []).append(r)
    if not lines:
        raise InputError("no record of a network trained by gradients")
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    training, steps = figure.subplots(1, 2)
    for i, (name, runs) in enumerate(lines.items()):
        x = [at for at, _ in runs[0]["curve"]]
        _band(training, x, [[a for _, a in r["curve"]] for r in runs], name, look(i))
        after = [r["accuracy_after"] for r in runs]
        _band(steps, range(1, len(after[0]) + 1), after, name, look(i))
    training.set(xlabel="presentations", ylabel="error (%)", title="While it is trained")
    training.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g}M" if x >= 1e6 else f"{x / 1000:g}k" if x else "0")
    training.xaxis.set_major_locator(ticker.MaxNLocator(5))
    splits = {r.get("split") for runs in lines.values() for r in runs}
    images = SPLITS.get(str(splits.pop()) if len(splits) == 1 else "", "what it has not seen").capitalize()
    steps.set(xlabel="step of the presentation", title=f"{images}, answered after so many steps")
    steps.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    errors = [100 * (1 - a) for runs in lines.values() for r in runs for a in r["accuracy_after"]]
    if max(errors) < 5 * min(errors):  # less than what a logarithmic axis has two numbers for
        steps.set_ylim(0, None)
    else:
        steps.set_yscale("log")
    training.set_yscale("log")
    for axes in (training, steps):
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        if axes.get_yscale() == "log":
            axes.yaxis.set_minor_formatter(lambda y, _: f"{y:g}" if f"{y:e}"[0] in "25" else "")
        axes.grid(axis="y", which="both")
    figure.legend(*training.get_legend_handles_labels(), loc="outside right upper", fontsize=8.5)
    seeds = max(len(runs) for runs in lines.values())
    note = f"{seeds} seeds: mean, best to worst" if seeds > 1 else "one seed"
    return titled(figure, "Training by gradients", records[0]["architecture"], note)


def _band(axes: Axes, x: Any, accuracies: Sequence[Sequence[float]], name: str, look: Any) -> None:
    """The errors of several seeds."""
    error = np.maximum(100 * (1 - np.array(accuracies)), FEWEST)
    alone = error.shape[1] == 1
    axes.plot(x, error.mean(axis=0), label=name, marker="o" if alone else None, **look)
    if len(error) > 1:
        axes.fill_between(x, error.min(axis=0), error.max(axis=0), color=look["color"], alpha=0.18, linewidth=0)


@mpl.rc_context(STYLE)
def pareto(
    models: Mapping[str, Sequence[tuple[float, float]]],
    cells: Mapping[str, Sequence[tuple[float, float]]],
    note: str = "",
) -> Figure:
    """Error (%) against the energy of an answer (µJ), both logarithmic: points (energy, accuracy 0-1). Those of
    `models` are joined: a network that answers after any of its steps; those of `cells` are networks of their own. The
    front, below which no point lies, is grey.

    Raises InputError where there are none.
    """
    if not models and not cells:
        raise InputError("no models to compare: none of the runs has results")
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.subplots()
    best, front = np.inf, []
    for energy, error in sorted(
        (e, 100 * (1 - a)) for points in [*models.values(), *cells.values()] for e, a in points
    ):
        if error < best:
            front += [(energy, best), (energy, error)] if np.isfinite(best) else [(energy, error)]
            best = error
    x, y = zip(*front, strict=True)
    axes.plot(x, np.maximum(y, FEWEST), color=FAINT, linewidth=5, label="front", zorder=0)
    for i, (name, points) in enumerate([*models.items(), *cells.items()]):
        energy, accuracy = np.array(points).T
        n, marker = len(COLOURS), MARKERS[i // len(COLOURS) % len(MARKERS)]
        style: Any = {"color": colour(i % n + n * (i // (n * len(MARKERS)))), "marker": marker}
        error = np.maximum(100 * (1 - accuracy), FEWEST)
        axes.plot(energy, error, label=name, markersize=5, linewidth=1.2 if name in models else 0, **style)
    axes.set(xscale="log", yscale="log", xlabel="energy of the synapses for an answer (µJ)", ylabel="error (%)")
    axes.xaxis.set_major_formatter(lambda e, _: f"{e:g}")
    axes.yaxis.set_major_formatter(lambda e, _: f"{e:g}")
    axes.yaxis.set_minor_formatter(lambda e, _: f"{e:g}" if f"{e:e}"[0] in "25" else "")
    axes.grid(which="major")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return titled(figure, "What an answer costs", note)
