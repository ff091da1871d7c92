"""Figures of studies: from the records of `results.jsonl`.

A *record* is one line of it. Records of one cell (encoder, neuron, rule) that differ in nothing but the seed are drawn
as a mean with its 95 % interval (a rerun of a seed replaces the run before it); records that differ in anything else
(study, size, overrides) are refused, but by `sweep`: their mean would mean nothing. The record ("none", "relu",
"backprop") is the ANN, drawn as a reference. Records that cannot be drawn raise `InputError`.
"""

import itertools
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import lines, ticker
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from jsnn.analysis import statistics
from jsnn.core.errors import InputError
from jsnn.core.text import LABEL, plain
from jsnn.core.text import name as shown
from jsnn.plots.style import (
    ACCENT,
    CHANCE,
    FAINT,
    INK,
    MUTED,
    STYLE,
    Figure,
    colour,
    colour_bar,
    dash,
    heat,
    look,
    titled,
)
from jsnn.runs import results

Record = Mapping[str, Any]
Cell = tuple[str, str, str]  # encoder, neuron, rule
ANN: Cell = ("none", "relu", "backprop")
SETTINGS = (
    *("study", "dataset", "split", "readout", "n_neurons", "batch_size", "n_steps"),
    *("n_train", "n_presentations", "n_evaluated"),
)
PER_ROW = 3  # panels beside each other
SEEDS = 3  # that a band or a bar is drawn of: the interval of two is mostly wider than what they differ from others by

# What names are called, in the order they are drawn; names that are not here come last, as they are.
ENCODERS = {"poisson": "Poisson", "bernoulli": "Bernoulli", "rank_order": "rank order"}
ENCODERS |= {f"bindsnet_{name}": f"{label} (BindsNET)" for name, label in ENCODERS.items()}
NEURONS = {"if": "IF", "lif": "LIF", "srm0": "SRM0", "adaptive_lif": "adaptive LIF"}
NEURONS |= {"euler_lif": "adaptive LIF (Euler)", "unit_if": "IF", "unit_lif": "LIF", "relu": "ReLU"}
RULES = {"stdp": "STDP", "weight_dependent_stdp": "weight-dependent STDP", "hebbian": "Hebbian"}
RULES |= {"power_law": "power law", "pre_and_post": "pre-and-post", "exponential": "exponential", "triplet": "triplet"}
RULES |= {"bptt": "BPTT", "eprop": "e-prop"}
LABELS = ENCODERS | NEURONS | RULES | {"none": "no encoder", "kmnist": "KMNIST"}


def word(path: str) -> str:
    """The last part of a config's path, as people write it: batch size, neurons."""
    return shown(path.split(".")[-1].removeprefix("n_"))


@mpl.rc_context(STYLE)
def accuracy_matrix(records: Sequence[Record], published: Mapping[Cell, float] | None = None) -> Figure:
    """The matrix: a panel for each encoder, neurons as rows, rules as columns, accuracy (%) in the cells.

    Mean over seeds, ± half of its 95 % interval where there are several; a cell without a record is hatched. The ANN is
    a line on the colour bar and a number below. `published`, {(encoder, neuron, rule): accuracy 0-1} and maybe the ANN,
    adds panels "as published" below those of jsnn.
    """
    sources: dict[str, Mapping[Cell, Sequence[Record]]] = {"jsnn": _cells(records)}
    if published:
        sources["as published"] = {cell: [{"accuracy": a}] for cell, a in published.items()}
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
            heat(axes, [[_summary(sources[name].get(cell, ())) for cell in row] for row in cells])
            axes.set_title(label(encoder))
            axes.set_xticks(np.arange(len(rules)) + 0.5, [textwrap.fill(label(rule), 11) for rule in rules])
            axes.set_yticks(np.arange(len(neurons)) + 0.5, [textwrap.fill(label(n), 20) for n in neurons])
            axes.tick_params(labelleft=encoder == chunk[0])
        if published:
            panels[0].set_ylabel(name, fontsize=10, fontweight="bold", labelpad=8)
    notes = [_facts(records)] + ["hatched: no result"] * any(axes.patches for axes in figure.axes)
    bar = colour_bar(figure, figure.axes, Normalize(0, 100), "accuracy (%)", max(height - 0.6, 1.2))
    if ann:
        found = {name: _summary(source[ANN]) for name, source in sources.items() if ANN in source}
        at = next(mean for mean, _ in found.values())
        bar.axhline(at, color=ACCENT, linewidth=2.5)
        bar.text(-0.3, at, "ANN", color=ACCENT, ha="right", va="center", fontsize=8)
        told = (f"{' '.join(text.split())} % ({name})" for name, (_, text) in found.items())
        notes.append(f"ANN: {', '.join(told)}")
    return titled(figure, _evaluated(records).capitalize(), *notes)


@mpl.rc_context(STYLE)
def sweep(records: Sequence[Record], x: str | None = None) -> Figure:
    """Accuracy (%) against one value of a sweep, by its path in `overrides`: by default the number that has the
    most values. Lines for what else differs, unless it follows from that number; mean over seeds, and its 95 %
    interval, as far as accuracies go, or of two seeds both.
    """
    spiking, x, others = _swept(records, x)
    curves: dict[str, dict[float, dict[Any, float]]] = {}
    for r in spiking:
        at = curves.setdefault(_line(spiking, r, others), {}).setdefault(r["overrides"][x], {})
        at[r.get("seed")] = 100 * r["accuracy"]
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, (line, points) in enumerate(curves.items()):
        at = sorted(points)
        found = [list(points[value].values()) for value in at]
        mean = np.array([np.mean(v) for v in found])
        half = np.array([statistics.interval(v).half if len(v) >= SEEDS else 0.0 for v in found])
        style: Any = look(i) | {"marker": "o", "markersize": 3.5, "linewidth": 1.4}
        bars = [np.minimum(half, mean), np.minimum(half, 100 - mean)]
        axes.errorbar(at, mean, bars, label=line, capsize=2.5, **style)
        few = [(value, one) for value, v in zip(at, found, strict=True) if 1 < len(v) < SEEDS for one in v]
        if few:
            axes.scatter(*zip(*few, strict=True), s=10, color=style["color"], alpha=0.5, linewidth=0)
    values = sorted({r["overrides"][x] for r in spiking})
    if values[0] > 0 and values[-1] >= 10 * values[0]:
        axes.set_xscale("log")
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()
    lowest, highest = axes.get_ylim()
    ends = max(lowest, 0), min(highest, 100)
    axes.set(xlabel=plain(x, LABEL), ylabel=f"{_evaluated(spiking)} (%)", ylim=ends)
    axes.grid(axis="y")
    _legend(figure, axes)
    return titled(figure, f"{_evaluated(spiking).capitalize()} against {word(x)}", _facts(spiking, SEEDS))


@mpl.rc_context(STYLE)
def swept_curves(records: Sequence[Record]) -> Figure:
    """Training accuracy (%) against presentations, as in `learning_curves`, a line for each value of a sweep (`sweep`)
    and for what else differs.
    """
    spiking, x, others = _swept(records, None)
    curves: dict[str, list[Any]] = {}
    for r in sorted(spiking, key=lambda r: r["overrides"][x]):
        if r.get("curve"):
            curves.setdefault(_line(spiking, r, [x, *others]), []).append(r["curve"])
    if not curves:
        raise InputError("no record has a learning curve: `curve` should be [[presentations, accuracy], ...]")
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, (line, found) in enumerate(curves.items()):
        _curve(axes, found, line, **look(i))
    axes.set(xlabel="presentations", ylabel="training accuracy (%)", ylim=(0, 100), xlim=(0, None))
    axes.xaxis.set_major_formatter(_thousands)
    axes.grid(axis="y")
    _legend(figure, axes)
    return titled(figure, f"Learning curves over {word(x)}", _facts(spiking, SEEDS))


def _legend(figure: Figure, axes: Axes) -> None:
    """Names of the lines beside the axes, in columns, if there are several."""
    handles, names = axes.get_legend_handles_labels()
    if names[1:]:
        n_columns = -(-len(names) // 24)
        width, height = figure.get_size_inches()
        figure.set_size_inches(width + n_columns * (0.6 + 0.065 * max(map(len, names))), height)
        figure.legend(handles, names, fontsize=8, loc="outside right upper", ncols=n_columns)


def _thousands(x: float, _: object) -> str:
    """A tick of presentations."""
    return f"{x / 1000:g}k" if x >= 1000 else f"{x:g}"


def _swept(records: Sequence[Record], x: str | None) -> tuple[list[Record], str, list[str]]:
    """The records of a sweep without the ANN; the number to draw against, `x` or the one with the most values; what
    else differs and does not follow from it, beside the seed.
    """
    spiking = [r for r in records if r["encoder"] != ANN[0]]
    values = {path: {r["overrides"].get(path) for r in spiking} for r in spiking for path in r["overrides"]}
    swept = {path: found for path, found in values.items() if len(found) > 1 and path.split(".")[-1] != "seed"}
    numbers = [path for path, found in swept.items() if all(isinstance(v, int | float) for v in found)]
    if not numbers or (x is not None and x not in numbers):
        raise InputError(f"no sweep to draw against {x or 'a number'}: swept are {', '.join(swept) or 'only seeds'}")
    against: str = x or max(numbers, key=lambda path: len(swept[path]))
    pairs = {path: {(r["overrides"].get(against), r["overrides"].get(path)) for r in spiking} for path in swept}
    others = [path for path in swept if path != against and len(pairs[path]) > len(swept[against])]
    return spiking, against, others


def _line(spiking: Sequence[Record], record: Record, paths: Sequence[str]) -> str:
    """The name of a record's line among those of a sweep: its cell, if there are several, and those of its numbers that
    differ in the cell.
    """
    axes = ("encoder", "neuron", "rule")
    alike = [r for r in spiking if all(r[axis] == record[axis] for axis in axes)]
    differ = [path for path in paths if len({r["overrides"].get(path) for r in alike}) > 1]
    numbers = [f"{word(path)} {record['overrides'][path]}" for path in differ if path in record["overrides"]]
    named = len(alike) < len(spiking) or (paths and not numbers)
    cell = [" ".join(label(record[axis]) for axis in axes)] if named else []
    return plain(", ".join([*cell, *numbers]), 2 * LABEL)


@mpl.rc_context(STYLE)
def tuning(records: Sequence[Record]) -> Figure:
    """What tuning gives each cell, from the history of a search (`jsnn.runs.search`): held-out accuracy (%) of the
    config's own numbers and of the best candidate, in the last rung.
    """
    cells = results.tuned(records)
    if not cells:
        raise InputError("nothing to draw: the search has no results")
    figure = Figure(figsize=(6.4, 1.6 + 0.2 * len(cells)), layout="constrained")
    axes = figure.subplots()
    names = [" x ".join(map(label, cell)) for cell in cells]
    own, best = ([100 * r["accuracy"] for r in lines] for lines in zip(*cells.values(), strict=True))
    place = np.arange(len(cells))
    axes.hlines(place, own, best, color=FAINT, linewidth=2.5, zorder=1)
    axes.scatter(own, place, color=MUTED, s=22, label="the config's own numbers", zorder=2)
    axes.scatter(best, place, color=ACCENT, s=22, label="best candidate", zorder=3)
    axes.set_yticks(place, names, fontsize=8)
    axes.set(xlabel="held-out accuracy (%)", ylim=(len(cells) - 0.5, -0.5))
    axes.grid(axis="x")
    figure.legend(loc="outside lower right", ncols=2, fontsize=8)
    one, _ = next(iter(cells.values()))
    return titled(figure, "What tuning gives", f"{one['n_train']:,} training images, {one['n_evaluated']:,} held out")


@mpl.rc_context(STYLE)
def learning_curves(records: Sequence[Record], chance: float = 0.1) -> Figure:
    """Training accuracy (%) against presentations: a panel for each encoder, colour = neuron, line = rule; rules have
    colours too where there is one neuron.

    A point is the accuracy on the window of training images just presented, labels from the window before.
    Several seeds: their mean, and of three or more a band of its 95 % interval. `chance` (0-1) is marked, and in every
    panel, what the training of the ANN comes to, however many presentations that takes.
    """
    cells = {cell: [r["curve"] for r in runs if r.get("curve")] for cell, runs in _cells(records).items()}
    cells = {cell: curves for cell, curves in cells.items() if curves}
    if not cells:
        raise InputError("no record has a learning curve: `curve` should be [[presentations, accuracy], ...]")
    encoders, neurons, rules, ann = _axes_of(list(cells))
    colours, dashes = _distinct(neurons, NEURONS, colour), _distinct(rules, RULES, dash)
    alone = len(neurons) == 1 < len(rules)
    own = {rule: colour(i) if alone else INK for i, rule in enumerate(rules)}
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
                trained = np.mean([curve[-1][1] for curve in curves])
                axes.axhline(100 * trained, label="ANN", color=ACCENT, linewidth=2.2)
            elif cell[0] == encoder:
                _, neuron, rule = cell
                ink = own[rule] if alone else colours[neuron]
                _curve(axes, curves, " ".join(cell), color=ink, linestyle=dashes[rule])
        axes.set(title=label(encoder), ylim=(0, 100), xlim=(0, None), xlabel="presentations" * lowest)
        axes.set_ylabel("training accuracy (%)" if i % n_columns == 0 else "")
        axes.tick_params(labelbottom=lowest)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
        axes.xaxis.set_major_formatter(_thousands)
    none: Any = {"linestyle": "none"}
    inks = dict.fromkeys(neurons, INK) if alone else colours
    keys = [("neuron", none)] + [(textwrap.fill(label(n), 20), {"color": inks[n]}) for n in neurons]
    keys += [("", none), ("rule", none)]
    keys += [(textwrap.fill(label(r), 16), {"color": own[r], "linestyle": dashes[r]}) for r in rules]
    keys += [("", none)] + [("ANN", {"color": ACCENT})] * ann + [(f"chance ({100 * chance:g} %)", CHANCE)]
    handles = [lines.Line2D([], [], label=text, **style) for text, style in keys]
    legend = figure.legend(handles=handles, loc="outside right upper", handlelength=2.6)
    for i in (0, len(neurons) + 2):  # headings
        legend.get_texts()[i].set_fontweight("bold")
    of_ann = "ANN: at the end of its training" if ann else ""
    return titled(figure, "Learning curves", _facts(records, SEEDS), of_ann)


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


def _distinct(names: Sequence[str], known: Iterable[str], kinds: Callable[[int], Any]) -> dict[str, Any]:
    """What tells each name from all others: for a known one the same in every figure."""
    found = {name: kinds(i) for i, name in enumerate(known) if name in names}
    free = (kind for kind in map(kinds, itertools.count()) if kind not in found.values())
    return {name: found[name] if name in found else next(free) for name in names}


def label(name: str) -> str:
    """What a name is called in figures."""
    return LABELS.get(name) or shown(name.replace("mnist", "MNIST"))


def _summary(runs: Sequence[Record]) -> tuple[float, str]:
    """The mean accuracy of the runs in percent, and what is written: `82.9`, or `82.9 ± 0.4` on two lines."""
    percent = 100 * np.array([run["accuracy"] for run in runs])
    spread = f"\n± {statistics.interval(percent).half:.1f}" if len(runs) > 1 else ""
    return (float(percent.mean()), f"{percent.mean():.1f}{spread}") if runs else (math.nan, "")


def _curve(axes: Axes, curves: Sequence[Sequence[Sequence[float]]], label: str, **line: Any) -> None:
    """The mean of the curves of several seeds where all of them have a point, with a band of its 95 % interval if they
    are enough.
    """
    points = [{at: 100 * accuracy for at, accuracy in curve} for curve in curves]
    x = sorted(set(points[0]).intersection(*points))
    y = np.array([[curve[at] for at in x] for curve in points])
    mean = y.mean(axis=0)
    axes.plot(x, mean, label=label, marker="o" if len(x) == 1 else None, markersize=4, **line)
    if len(y) >= SEEDS:
        half = np.array([statistics.interval(at).half for at in y.T])
        axes.fill_between(x, mean - half, mean + half, color=line["color"], alpha=0.18, linewidth=0)


def _evaluated(records: Sequence[Record]) -> str:
    """What the accuracy of the records is of: the test images, training images that were held out, or either."""
    splits = {record.get("split") for record in records}
    return {"test": "test accuracy", "validation": "accuracy on held-out training images"}.get(
        str(splits.pop()) if len(splits) == 1 else "", "accuracy"
    )


def _facts(records: Sequence[Record], least: int = 2) -> str:
    """What the spiking records share, for the line below a figure: data, size, images, seeds; intervals are drawn of
    `least` seeds or more.
    """
    spiking = [record for record in records if record["encoder"] != ANN[0]] or records
    facts = []
    for key, form in (("dataset", "{}"), ("n_neurons", "{:,} neurons"), ("n_train", "{:,} training images")):
        values = {record.get(key) for record in spiking}
        if len(values) == 1 and (value := values.pop()):
            facts.append(form.format(label(value) if isinstance(value, str) else value))
    all_shown = {record.get("n_presentations") for record in spiking}
    if len(all_shown) == 1 and (value := all_shown.pop()) and any(r.get("n_train") != value for r in spiking):
        facts.append(f"{value:,} presentations")
    seeds = len({record.get("seed") for record in spiking})
    drawn = "seeds, ± half of the 95 % interval" if seeds >= least else "seeds and their mean"
    return " · ".join([*facts, *[f"{seeds} {drawn}"] * (seeds > 1)])
