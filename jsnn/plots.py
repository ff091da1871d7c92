"""Figures from results, never from live objects: pure functions from records and arrays to figures.

A *record* is one line of `results.jsonl`. Records of one cell (encoder, neuron, rule) that differ in nothing but the
seed are drawn as a mean with its 95 % interval (a rerun of a seed replaces the run before it); records that differ in
anything else (study, size, overrides) are refused, but by `sweep`: their mean would mean nothing.
The record ("none", "relu", "backprop") is the ANN, drawn as a reference. Records that cannot be drawn and
arrays of the wrong shape raise `InputError`. Figures are built without pyplot: they are the caller's alone.
"""

import itertools
import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import cm, lines, patches, patheffects, ticker
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jsnn import results, statistics
from jsnn.errors import InputError

Record = Mapping[str, Any]
Cell = tuple[str, str, str]  # encoder, neuron, rule
ANN: Cell = ("none", "relu", "backprop")
SETTINGS = ("study", "dataset", "readout", "n_neurons", "batch_size", "n_steps", "n_train", "n_test")

# What names are called, in the order they are drawn; names that are not here come last, as they are.
ENCODERS = {"poisson": "Poisson", "bernoulli": "Bernoulli", "rank_order": "rank order"}
ENCODERS |= {f"bindsnet_{name}": f"{label} (BindsNET)" for name, label in ENCODERS.items()}
NEURONS = {"if": "IF", "lif": "LIF", "srm0": "SRM0", "adaptive_lif": "adaptive LIF", "relu": "ReLU"}
RULES = {"stdp": "STDP", "weight_dependent_stdp": "weight-dependent STDP", "hebbian": "Hebbian"}
LABELS = ENCODERS | NEURONS | RULES | {"none": "no encoder", "kmnist": "KMNIST"}

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
PER_ROW = 3  # panels beside each other


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


def word(path: str) -> str:
    """The last part of a config's path, as people write it: batch size, neurons."""
    return path.split(".")[-1].removeprefix("n_").replace("_", " ")


@mpl.rc_context(STYLE)
def accuracy_matrix(records: Sequence[Record], published: Mapping[Cell, float] | None = None) -> Figure:
    """The matrix: a panel for each encoder, neurons as rows, rules as columns, accuracy (%) in the cells.

    Mean over seeds, ± half of its 95 % interval where there are several; a cell without a record is hatched. The ANN is
    a line on the colour bar and a number below. `published`, {(encoder, neuron, rule): accuracy 0-1} and maybe the ANN,
    adds panels "as published" below those of jsnn.
    """
    sources: dict[str, Mapping[Cell, Sequence[Record]]] = {"jsnn": _cells(records)}
    if published:
        sources["as published"] = {cell: [{"test_accuracy": a}] for cell, a in published.items()}
    encoders, neurons, rules, ann = _axes_of([cell for source in sources.values() for cell in source])
    chunks = [encoders[i : i + PER_ROW] for i in range(0, len(encoders), PER_ROW)]
    rows = [(name, chunk) for chunk in chunks for name in sources if {c[0] for c in sources[name]} & {*chunk}]
    width, height = len(chunks[0]) * max(0.85 * len(rules), 1.5), len(rows) * (0.75 + 0.56 * len(neurons))
    figure = Figure(figsize=(max(2.1 + width, 4.4), 1.0 + height), layout="constrained")
    grid = figure.subplots(len(rows), len(chunks[0]), squeeze=False)
    for panels, (name, chunk) in zip(grid, rows, strict=True):
        for axes in panels[len(chunk) :]:
            axes.remove()
        for axes, encoder in zip(panels, chunk, strict=False):
            cells = [[(encoder, neuron, rule) for rule in rules] for neuron in neurons]
            _heat(axes, [[_summary(sources[name].get(cell, ())) for cell in row] for row in cells])
            axes.set_title(_label(encoder))
            axes.set_xticks(np.arange(len(rules)) + 0.5, [textwrap.fill(_label(rule), 10) for rule in rules])
            axes.set_yticks(np.arange(len(neurons)) + 0.5, map(_label, neurons))
            axes.tick_params(labelleft=encoder == chunk[0])
        if published:
            panels[0].set_ylabel(name, fontsize=10, fontweight="bold", labelpad=8)
    notes = [_facts(records)] + ["hatched: no result"] * any(axes.patches for axes in figure.axes)
    bar = _colour_bar(figure, figure.axes, Normalize(0, 100), "test accuracy (%)", max(height - 0.6, 1.2))
    if ann:
        found = {name: _summary(source[ANN]) for name, source in sources.items() if ANN in source}
        at = next(mean for mean, _ in found.values())
        bar.axhline(at, color=ACCENT, linewidth=2.5)
        bar.text(-0.3, at, "ANN", color=ACCENT, ha="right", va="center", fontsize=8)
        told = (f"{' '.join(text.split())} % ({name})" for name, (_, text) in found.items())
        notes.append(f"ANN: {', '.join(told)}")
    return _titled(figure, "Test accuracy", *notes)


@mpl.rc_context(STYLE)
def sweep(records: Sequence[Record], x: str | None = None) -> Figure:
    """Test accuracy (%) against one value of a sweep, by its path in `overrides`: by default the number that has the
    most values. Lines for what else differs, unless it follows from that number; mean over seeds, and its 95 % interval
    where there are several.
    """
    spiking = [r for r in records if r["encoder"] != ANN[0]]
    values = {path: {r["overrides"].get(path) for r in spiking} for r in spiking for path in r["overrides"]}
    swept = {path: found for path, found in values.items() if len(found) > 1 and path.split(".")[-1] != "seed"}
    numbers = [path for path, found in swept.items() if all(isinstance(v, int | float) for v in found)]
    if not numbers or (x is not None and x not in numbers):
        raise InputError(f"no sweep to draw against {x or 'a number'}: swept are {', '.join(swept) or 'only seeds'}")
    x = x or max(numbers, key=lambda path: len(swept[path]))
    pairs = {path: {(r["overrides"].get(x), r["overrides"].get(path)) for r in spiking} for path in swept}
    others = [path for path in swept if path != x and len(pairs[path]) > len(swept[x])]
    several = len({(r["encoder"], r["neuron"], r["rule"]) for r in spiking}) > 1
    curves: dict[str, dict[float, dict[Any, float]]] = {}
    for r in spiking:
        cell = [" ".join(_label(r[axis]) for axis in ("encoder", "neuron", "rule"))] if several else []
        numbers = [f"{word(path)} {r['overrides'].get(path)}" for path in others]
        at = curves.setdefault(", ".join(cell + numbers), {}).setdefault(r["overrides"][x], {})
        at[r.get("seed")] = 100 * r["test_accuracy"]
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    styles = itertools.cycle(itertools.product(DASHES, COLOURS))
    for (label, points), (dash, colour) in zip(curves.items(), styles, strict=False):
        at = sorted(points)
        found = [list(points[value].values()) for value in at]
        half = [statistics.interval(v).half if len(v) > 1 else 0.0 for v in found]
        style: Any = {"color": colour, "linestyle": dash, "marker": "o", "markersize": 3.5, "linewidth": 1.4}
        axes.errorbar(at, [np.mean(v) for v in found], half, label=label, capsize=2.5, **style)
    if min(swept[x]) > 0 and max(swept[x]) >= 10 * min(swept[x]):
        axes.set_xscale("log")
        axes.set_xticks(sorted(swept[x]), [f"{value:g}" for value in sorted(swept[x])])
        axes.minorticks_off()
    axes.set(xlabel=x, ylabel="test accuracy (%)")
    axes.grid(axis="y")
    if len(curves) > 1:
        axes.legend(fontsize=8)
    return _titled(figure, f"Test accuracy against {word(str(x))}", _facts(spiking))


@mpl.rc_context(STYLE)
def tuning(records: Sequence[Record]) -> Figure:
    """What tuning gives each cell, from the history of a search (`jsnn.search`): held-out accuracy (%) of the config's
    own numbers and of the best candidate, in the last rung.
    """
    cells = results.tuned(records)
    if not cells:
        raise InputError("nothing to draw: the search has no results")
    figure = Figure(figsize=(6.4, 1.6 + 0.2 * len(cells)), layout="constrained")
    axes = figure.subplots()
    names = [" x ".join(map(_label, cell)) for cell in cells]
    own, best = ([100 * r["test_accuracy"] for r in lines] for lines in zip(*cells.values(), strict=True))
    place = np.arange(len(cells))
    axes.hlines(place, own, best, color=FAINT, linewidth=2.5, zorder=1)
    axes.scatter(own, place, color=MUTED, s=22, label="the config's own numbers", zorder=2)
    axes.scatter(best, place, color=ACCENT, s=22, label="best candidate", zorder=3)
    axes.set_yticks(place, names, fontsize=8)
    axes.set(xlabel="held-out accuracy (%)", ylim=(len(cells) - 0.5, -0.5))
    axes.grid(axis="x")
    figure.legend(loc="outside lower right", ncols=2, fontsize=8)
    one, _ = next(iter(cells.values()))
    return _titled(figure, "What tuning gives", f"{one['n_train']:,} training images, {one['n_test']:,} held out")


@mpl.rc_context(STYLE)
def learning_curves(records: Sequence[Record], chance: float = 0.1) -> Figure:
    """Training accuracy (%) against presentations: a panel for each encoder, colour = neuron, line = rule.

    A point is the accuracy on the window of training images just presented, labels from the window before.
    Several seeds: their mean, and a band of its 95 % interval. `chance` (0-1) is marked; the ANN is in every panel.
    """
    cells = {cell: [r["curve"] for r in runs if r.get("curve")] for cell, runs in _cells(records).items()}
    cells = {cell: curves for cell, curves in cells.items() if curves}
    if not cells:
        raise InputError("no record has a learning curve: `curve` should be [[presentations, accuracy], ...]")
    encoders, neurons, rules, ann = _axes_of(list(cells))
    colours = dict(zip(_ordered([*NEURONS, *neurons], NEURONS), itertools.cycle(COLOURS), strict=False))
    dashes = dict(zip(_ordered([*RULES, *rules], RULES), itertools.cycle(DASHES), strict=False))
    n_columns, n_rows = min(PER_ROW, len(encoders)), math.ceil(len(encoders) / PER_ROW)
    figure = Figure(figsize=(2.4 + max(2.9 * n_columns, 3.6), 1.1 + 2.9 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(encoders) :]:
        axes.remove()
    for i, encoder in enumerate(encoders):
        axes, lowest = grid.flat[i], i + n_columns >= len(encoders)
        axes.axhline(100 * chance, label="chance", **CHANCE)
        for cell, curves in cells.items():
            if ann and cell == ANN:
                _curve(axes, curves, "ANN", color=ACCENT, linewidth=2.2)
            elif cell[0] == encoder:
                _curve(axes, curves, " ".join(cell), color=colours[cell[1]], linestyle=dashes[cell[2]])
        axes.set(title=_label(encoder), ylim=(0, 100), xlim=(0, None), xlabel="presentations" * lowest)
        axes.set_ylabel("training accuracy (%)" if i % n_columns == 0 else "")
        axes.tick_params(labelbottom=lowest)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}")
    none: Any = {"linestyle": "none"}
    keys = [("$\\bf{neuron}$", none)] + [(_label(n), {"color": colours[n]}) for n in neurons]
    keys += [("", none), ("$\\bf{rule}$", none)]
    keys += [(textwrap.fill(_label(r), 16), {"color": INK, "linestyle": dashes[r]}) for r in rules]
    keys += [("", none)] + [("ANN", {"color": ACCENT})] * ann + [(f"chance ({100 * chance:g} %)", CHANCE)]
    handles = [lines.Line2D([], [], label=text, **style) for text, style in keys]
    figure.legend(handles=handles, loc="outside right upper", handlelength=2.6)
    return _titled(figure, "Learning curves", _facts(records))


@mpl.rc_context(STYLE)
def receptive_fields(
    weights: ArrayLike, assignments: ArrayLike, shape: tuple[int, int] = (28, 28), by_label: bool = True
) -> Figure:
    """The sheet of fields: the weights onto each neuron as an image, with the neuron's label in its corner.

    `weights` [n_pre, n] in mV, n_pre = shape[0] * shape[1]; `assignments` [n], the class of each neuron, -1
    for a silent one (drawn in grey). Row by row, sorted by label (silent ones last), then neuron, or with
    `by_label=False` by neuron alone. Colours go from 0, or the least weight, to the 99.8th percentile.
    """
    fields, labels, (height, width) = np.asarray(weights, float), np.asarray(assignments, int), shape
    n, gap = labels.size, 2
    if not n or fields.shape != (height * width, n) or labels.shape != (n,):
        raise InputError(f"shapes {fields.shape}, {labels.shape}: expected ({height * width}, n) and (n,)")
    ranks = np.where(labels < 0, labels.max() + 1, labels) * by_label
    n_columns = math.ceil(math.sqrt(n))
    n_rows = math.ceil(n / n_columns)
    norm = Normalize(min(0.0, fields.min()), max(np.quantile(fields, 0.998), 1e-9))
    side = float(np.clip(0.5 * n_columns, 3.6, 14.0))  # of the sheet, inches
    points = 72 * side / n_columns  # width of a field
    figure = Figure(figsize=(side + 0.9, side * n_rows / n_columns + 0.45), layout="constrained")
    axes = figure.subplots()
    sheet = np.ones((n_rows * (height + gap) - gap, n_columns * (width + gap) - gap, 3))
    for place, i in enumerate(np.argsort(ranks, kind="stable")):
        y, x = (place // n_columns) * (height + gap), (place % n_columns) * (width + gap)
        image = HEAT(norm(fields[:, i].reshape(shape)))[..., :3]
        sheet[y : y + height, x : x + width] = image if labels[i] >= 0 else image.mean(axis=-1, keepdims=True)
        text = axes.text(x + 0.05 * width, y + 0.03 * height, str(labels[i]) if labels[i] >= 0 else "–")
        text.set(fontsize=min(0.27 * points, 11), fontweight="bold", va="top", in_layout=False)
        text.set_path_effects([patheffects.withStroke(linewidth=min(0.06 * points, 2.5), foreground="white")])
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    _colour_bar(figure, axes, norm, "weight (mV)", 0.75 * side * n_rows / n_columns, fields.max())
    return _titled(figure, f"{n} receptive field{'s' * (n > 1)}, {(labels < 0).sum()} silent")


@mpl.rc_context(STYLE)
def thresholds(theta: ArrayLike, base: float, labels: ArrayLike) -> Figure:
    """How far the neurons' thresholds have moved: a histogram of `theta` [n] (mV), which is added to `base` (mV), those
    of silent neurons (`labels` [n] of -1) apart.
    """
    theta, silent = np.asarray(theta, float), np.asarray(labels, int) < 0
    if theta.ndim != 1 or theta.shape != silent.shape or not theta.size:
        raise InputError(f"theta {theta.shape}, labels {silent.shape}: expected [n], the same neurons")
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    edges = np.histogram_bin_edges(theta, bins=min(40, max(8, theta.size // 10))).tolist()
    names = [f"{(~silent).sum()} neurons", f"{silent.sum()} silent"]
    parts, colours = [theta[~silent], theta[silent]], [COLOURS[3], MUTED]
    axes.hist(parts, edges, stacked=True, color=colours, label=names)
    axes.axvline(theta.mean(), color=ACCENT, linewidth=1.5, label=f"mean {theta.mean():.1f} mV")
    axes.set(xlabel="theta (mV)", ylabel="neurons")
    axes.legend(fontsize=8.5)
    return _titled(figure, "Adaptive thresholds", f"threshold = {base:g} mV + theta")


@mpl.rc_context(STYLE)
def presentation(
    input_raster: ArrayLike, output_spikes: ArrayLike, v: ArrayLike, threshold: ArrayLike, neuron: int,
    dt: float = 1.0, label: int | str | None = None,
) -> Figure:  # fmt: skip
    """One presentation, seen from one neuron: input raster, output raster and its membrane, over time in ms.

    `input_raster` bool [T, n_in]; `output_spikes` bool [T, n], where `neuron` is highlighted; `v` [T], its
    potential after each step (mV); `threshold` [T] or a number (mV); `dt` in ms; `label`, what was presented.
    """
    inputs, outputs, v = np.asarray(input_raster, bool), np.asarray(output_spikes, bool), np.asarray(v, float)
    if not (inputs.ndim == outputs.ndim == 2 and len(inputs) == len(outputs) == v.size > 0 and v.ndim == 1):
        raise InputError(f"{inputs.shape}, {outputs.shape}, {v.shape}: expected [T, n_in], [T, n] and [T]")
    if not 0 <= neuron < outputs.shape[1]:
        raise InputError(f"neuron {neuron}: expected 0 to {outputs.shape[1] - 1}")
    threshold, time = np.broadcast_to(np.asarray(threshold, float), v.shape), np.arange(v.size) * dt
    mine = outputs[:, neuron]
    figure = Figure(figsize=(8.0, 6.2), layout="constrained")
    top, middle, bottom = figure.subplots(3, sharex=True, height_ratios=(1.25, 1.0, 1.25))
    for axes, raster, name, size in ((top, inputs, "input", 2.5), (middle, outputs, "output", 9.0)):
        step, index = np.nonzero(raster)
        axes.scatter(time[step], index, s=size, color=INK if axes is top else MUTED, linewidth=0)
        axes.set(ylim=(1.03 * raster.shape[1], -0.03 * raster.shape[1] - 1), ylabel=f"{name} neuron")
        axes.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
        axes.set_title(f"{name} spikes: {step.size:,}", loc="right", fontsize=8.5, color=MUTED)
    middle.axhline(neuron, color=ACCENT, linewidth=0.8, alpha=0.35, zorder=0)
    middle.scatter(time[mine], np.full(mine.sum(), neuron), s=20, color=ACCENT, linewidth=0)
    bottom.plot(time, v, color=COLOURS[3], linewidth=1.3, label="membrane")
    bottom.plot(time, threshold, color=INK, linewidth=1.1, linestyle=DASHES[1], label="threshold")
    mark = threshold[mine] + 0.18 * max(np.ptp([v, threshold]), 1e-3)
    bottom.vlines(time[mine], threshold[mine], mark, color=ACCENT, linewidth=1.5, label="spike")
    bottom.set(ylabel="potential (mV)", xlabel="time (ms)", xlim=(-0.5 * dt, (v.size - 0.5) * dt))
    bottom.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0, fontsize=8.5)
    bottom.set_title(f"neuron {neuron}", loc="left", color=ACCENT)
    return _titled(figure, "One presentation" + (f" of “{label}”" if label is not None else ""))


@mpl.rc_context(STYLE)
def voltages(runs: Mapping[str, tuple[ArrayLike, ArrayLike]], dt: float, other: str = "Brian2") -> Figure:
    """The same presentation by two simulators: a row a case, of the membranes [T, n] (mV) by jsnn after each step, and
    by the other before each.

    Left the neuron that moves most, by both; right the largest difference of all neurons.
    """
    figure = Figure(figsize=(9.0, 1.6 * len(runs) + 0.8), layout="constrained")
    panels = figure.subplots(len(runs), 2, sharex=True, squeeze=False, width_ratios=(1.6, 1.0))
    for (left, right), (name, (mine, theirs)) in zip(panels, runs.items(), strict=True):
        mine, theirs = np.asarray(mine, float)[:-1], np.asarray(theirs, float)[1:]
        if mine.shape != theirs.shape or mine.ndim != 2:
            raise InputError(f"{name}: {mine.shape}, {theirs.shape}: expected two membranes [T, n]")
        time, neuron = np.arange(len(mine)) * dt, int(np.argmax(np.ptp(mine, axis=0)))
        left.plot(time, theirs[:, neuron], color=ACCENT, linewidth=2.6, alpha=0.45, label=other)
        left.plot(time, mine[:, neuron], color=INK, linewidth=0.8, label="jsnn")
        left.set(ylabel="v (mV)", xlim=(0, time[-1]))
        left.set_title(f"{name.replace('_', ' ')}, neuron {neuron}", loc="left")
        right.plot(time, np.maximum(np.abs(mine - theirs).max(axis=1), 1e-16), color=INK, linewidth=0.8)
        right.set(yscale="log", ylim=(1e-16, 1e2), ylabel="apart (mV)")
    panels[0][0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0, fontsize=8.5)
    for axes in panels[-1]:
        axes.set_xlabel("time (ms)")
    return _titled(figure, f"One image by jsnn and by {other}")


@mpl.rc_context(STYLE)
def confusion_matrix(confusion: ArrayLike, accuracy: float, title: str = "Confusion matrix") -> Figure:
    """Which class is taken for which: rows true, columns predicted, the last one for "no answer".

    `confusion` [c, c + 1]: counts, written where not zero, coloured by share of the row; `accuracy` 0-1.
    """
    counts = np.asarray(confusion, int)
    if counts.ndim != 2 or counts.shape[1] != len(counts) + 1:
        raise InputError(f"confusion {counts.shape}: expected (c, c + 1), the last column for no answer")
    n = len(counts)
    figure = Figure(figsize=(1.8 + 0.52 * (n + 1), 1.4 + 0.45 * n), layout="constrained")
    axes = figure.subplots()
    _heat(axes, [[(100 * k / max(row.sum(), 1), str(k) if k else "") for k in row] for row in counts])
    axes.axvline(n, color=INK, linewidth=1.2)
    axes.set_xticks(np.arange(n + 1) + 0.5, [*map(str, range(n)), "none"])
    axes.set_yticks(np.arange(n) + 0.5, map(str, range(n)))
    axes.set(xlabel="predicted class", ylabel="true class")
    _colour_bar(figure, axes, Normalize(0, 100), "share of the true class (%)", 0.45 * n)
    return _titled(figure, f"{title}: {100 * accuracy:.1f} % correct", f"{counts.sum():,} presentations")


def _cells(records: Sequence[Record]) -> dict[Cell, list[Record]]:
    """The records of each cell, one for each seed; InputError if they differ in anything but the seed."""
    cells: dict[Cell, dict[Any, Record]] = {}
    for record in records:
        cell = (record["encoder"], record["neuron"], record["rule"])
        runs = cells.setdefault(cell, {})
        new, old = _settings(record), _settings(next(iter(runs.values()), record))
        if differ := sorted(key for key in {*new, *old} if new.get(key) != old.get(key)):
            told = "; ".join(f"{key} {old.get(key)!r} and {new.get(key)!r}" for key in differ)
            raise InputError(f"records of {'/'.join(cell)} differ in more than the seed: {told}")
        runs[record.get("seed")] = record
    if not cells:
        raise InputError("no records to draw: results.jsonl is empty, or nothing in it was selected")
    return {cell: list(runs.values()) for cell, runs in cells.items()}


def _settings(record: Record) -> dict[str, Any]:
    """All that two records must share to be averaged: their settings, whatever the seed."""
    unseeded = {k: v for k, v in record.get("overrides", {}).items() if k.split(".")[-1] != "seed"}
    return {key: record.get(key) for key in SETTINGS} | unseeded


def _axes_of(cells: Sequence[Cell]) -> tuple[list[str], list[str], list[str], bool]:
    """The encoders, neurons and rules of the cells in their order, and whether the ANN stands beside them."""
    spiking = [cell for cell in cells if cell != ANN]  # the ANN alone is a cell like any other
    encoders, neurons, rules = zip(*(spiking or cells), strict=True)
    ordered = _ordered(encoders, ENCODERS), _ordered(neurons, NEURONS), _ordered(rules, RULES)
    return *ordered, bool(spiking) and ANN in cells


def _ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Each name once, known ones in their fixed order, others after them by name."""
    unique = set(names)
    return [name for name in known if name in unique] + sorted(unique.difference(known))


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " ").replace("mnist", "MNIST"))


def _summary(runs: Sequence[Record]) -> tuple[float, str]:
    """The mean accuracy of the runs in percent, and what is written: `82.9`, or `82.9 ± 0.4` on two lines."""
    percent = 100 * np.array([run["test_accuracy"] for run in runs])
    spread = f"\n± {statistics.interval(percent).half:.1f}" if len(runs) > 1 else ""
    return (float(percent.mean()), f"{percent.mean():.1f}{spread}") if runs else (math.nan, "")


def _heat(axes: Axes, cells: Sequence[Sequence[tuple[float, str]]]) -> None:
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


def _colour_bar(figure: Figure, beside: Any, norm: Any, label: str, length: float, top: float = 0) -> Axes:
    """A colour bar of `length` inches, pointed where `top`, the greatest value, is beyond its end."""
    place: Any = {"fraction": 0.2 / figure.get_figwidth(), "aspect": length / 0.17, "pad": 0.02}
    place |= {"extend": "max" if top > norm.vmax else "neither", "extendfrac": 0.03, "shrink": 0.9}
    bar = figure.colorbar(cm.ScalarMappable(norm, HEAT), ax=beside, label=label, **place)
    bar.outline.set_visible(False)
    return bar.ax


def _curve(axes: Axes, curves: Sequence[Sequence[Sequence[float]]], label: str, **line: Any) -> None:
    """The mean of the curves of several seeds where all of them have a point, with a band of its 95 % interval."""
    points = [{at: 100 * accuracy for at, accuracy in curve} for curve in curves]
    x = sorted(set(points[0]).intersection(*points))
    y = np.array([[curve[at] for at in x] for curve in points])
    mean = y.mean(axis=0)
    axes.plot(x, mean, label=label, marker="o" if len(x) == 1 else None, markersize=4, **line)
    if len(y) > 1:
        half = np.array([statistics.interval(at).half for at in y.T])
        axes.fill_between(x, mean - half, mean + half, color=line["color"], alpha=0.18, linewidth=0)


def _facts(records: Sequence[Record]) -> str:
    """What the spiking records share, for the line below a figure: data, size, images, seeds."""
    spiking = [record for record in records if record["encoder"] != ANN[0]] or records
    facts = []
    for key, form in (("dataset", "{}"), ("n_neurons", "{:,} neurons"), ("n_train", "{:,} training images")):
        values = {record.get(key) for record in spiking}
        if len(values) == 1 and (value := values.pop()):
            facts.append(form.format(_label(value) if isinstance(value, str) else value))
    seeds = len({record.get("seed") for record in spiking})
    return " · ".join([*facts, *[f"{seeds} seeds, ± half of the 95 % interval"] * (seeds > 1)])


def _titled(figure: Figure, title: str, *notes: str) -> Figure:
    """Title top left; notes bottom left, in small print."""
    figure.suptitle(title, x=0.01, ha="left")
    text = textwrap.fill(" · ".join(note for note in notes if note), int(14 * figure.get_figwidth()))
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color=MUTED)
    return figure
