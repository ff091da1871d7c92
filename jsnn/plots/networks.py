"""Figures of one network: from arrays of weights, thresholds, spikes and answers. Arrays of the wrong shape raise
`InputError`.
"""

import math
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects, ticker
from matplotlib.colors import Normalize
from numpy.typing import ArrayLike

from jsnn.core.errors import InputError
from jsnn.core.text import name as shown
from jsnn.plots.style import ACCENT, COLOURS, DASHES, HEAT, INK, MUTED, STYLE, Figure, colour_bar, heat, titled


@mpl.rc_context(STYLE)
def receptive_fields(
    weights: ArrayLike,
    assignments: ArrayLike,
    shape: tuple[int, int] = (28, 28),
    by_label: bool = True,
    unit: str = "mV",
    most: int = 900,
) -> Figure:
    """The sheet of fields: the weights onto each neuron as an image, with the neuron's label in its corner.

    `weights` [n_pre, n] in `unit`, n_pre = shape[0] * shape[1]; `assignments` [n], the class of each neuron, -1
    for a silent one (drawn in grey). Row by row, sorted by label (silent ones last), then neuron, or with
    `by_label=False` by neuron alone; of more than `most`, every so many are drawn. Colours go from 0, or the least
    weight, to the 99.8th percentile.
    """
    fields, labels, (height, width) = np.asarray(weights, float), np.asarray(assignments, int), shape
    gap = 2
    if most < 1:
        raise InputError(f"most = {most}: it should be at least 1")
    if not labels.size or fields.shape != (height * width, labels.size) or labels.ndim != 1:
        raise InputError(f"shapes {fields.shape}, {labels.shape}: expected ({height * width}, n) and (n,)")
    ranks = np.where(labels < 0, labels.max() + 1, labels) * by_label
    order = np.argsort(ranks, kind="stable")
    drawn = order[np.linspace(0, order.size - 1, min(order.size, most)).round().astype(int)]
    n = drawn.size
    n_columns = math.ceil(math.sqrt(n))
    n_rows = math.ceil(n / n_columns)
    norm = Normalize(min(0.0, fields.min()), max(np.quantile(fields, 0.998), 1e-9))
    side = float(np.clip(0.5 * n_columns, 3.6, 14.0))  # of the sheet, inches
    points = 72 * side / n_columns  # width of a field
    figure = Figure(figsize=(side + 0.9, side * n_rows / n_columns + 0.45), layout="constrained")
    axes = figure.subplots()
    sheet = np.ones((n_rows * (height + gap) - gap, n_columns * (width + gap) - gap, 3))
    for place, i in enumerate(drawn):
        y, x = (place // n_columns) * (height + gap), (place % n_columns) * (width + gap)
        image = HEAT(norm(fields[:, i].reshape(shape)))[..., :3]
        sheet[y : y + height, x : x + width] = image if labels[i] >= 0 else image.mean(axis=-1, keepdims=True)
        text = axes.text(x + 0.05 * width, y + 0.03 * height, str(labels[i]) if labels[i] >= 0 else "–")
        text.set(fontsize=min(0.27 * points, 11), fontweight="bold", va="top", in_layout=False)
        text.set_path_effects([patheffects.withStroke(linewidth=min(0.06 * points, 2.5), foreground="white")])
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    colour_bar(figure, axes, norm, f"weight ({unit})", 0.75 * side * n_rows / n_columns, fields.max())
    some = f" ({n} of them here)" if n < labels.size else ""
    return titled(figure, f"{labels.size} receptive field{'s' * (labels.size > 1)}{some}, {(labels < 0).sum()} silent")


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
    parts = [
        (theta[~silent], f"{(~silent).sum()} neurons", COLOURS[3]),
        (theta[silent], f"{silent.sum()} silent", MUTED),
    ]
    values, names, colours = zip(*[part for part in parts if part[0].size], strict=True)
    axes.hist(values, edges, stacked=True, color=colours, label=names)
    axes.axvline(theta.mean(), color=ACCENT, linewidth=1.5, label=f"mean {theta.mean():.1f} mV")
    axes.set(xlabel="theta (mV)", ylabel="neurons")
    axes.legend(fontsize=8.5)
    return titled(figure, "Adaptive thresholds", f"threshold = {base:g} mV + theta")


@mpl.rc_context(STYLE)
def presentation(
    input_raster: ArrayLike, output_spikes: ArrayLike, v: ArrayLike, threshold: ArrayLike, neuron: int,
    dt: float = 1.0, label: int | str | None = None,
) -> Figure:  # fmt: skip
    """One presentation, seen from one neuron: input raster, output raster and its membrane, over time in ms.

    `input_raster` bool [T, n_in]; `output_spikes` bool [T, n], where `neuron` is highlighted; `v` [T], its
    potential in each step, before a spike resets it (mV); `threshold` [T] or a number (mV); `dt` in ms; `label`, what
    was presented.
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
    return titled(figure, "One presentation" + (f" of “{label}”" if label is not None else ""))


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
        left.set_title(f"{shown(name)}, neuron {neuron}", loc="left")
        right.plot(time, np.maximum(np.abs(mine - theirs).max(axis=1), 1e-16), color=INK, linewidth=0.8)
        right.set(yscale="log", ylim=(1e-16, 1e2), ylabel="apart (mV)")
        right.yaxis.set_major_formatter(lambda y, _: f"{y:.0e}")
    panels[0][0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0, fontsize=8.5)
    for axes in panels[-1]:
        axes.set_xlabel("time (ms)")
    return titled(figure, f"One image by jsnn and by {other}")


@mpl.rc_context(STYLE)
def confusion_matrix(
    confusion: ArrayLike, accuracy: float, title: str = "Confusion matrix", of: str = "presentations"
) -> Figure:
    """Which class is taken for which, `of` so many images: rows true, columns predicted, the last one for "no answer".

    `confusion` [c, c + 1]: counts, written where not zero, coloured by share of the row; `accuracy` 0-1.
    """
    counts = np.asarray(confusion, int)
    if counts.ndim != 2 or counts.shape[1] != len(counts) + 1:
        raise InputError(f"confusion {counts.shape}: expected (c, c + 1), the last column for no answer")
    n = len(counts)
    figure = Figure(figsize=(1.8 + 0.52 * (n + 1), 1.4 + 0.45 * n), layout="constrained")
    axes = figure.subplots()
    heat(axes, [[(100 * k / max(row.sum(), 1), str(k) if k else "") for k in row] for row in counts])
    axes.axvline(n, color=INK, linewidth=1.2)
    axes.set_xticks(np.arange(n + 1) + 0.5, [*map(str, range(n)), "none"])
    axes.set_yticks(np.arange(n) + 0.5, map(str, range(n)))
    axes.set(xlabel="predicted class", ylabel="true class")
    colour_bar(figure, axes, Normalize(0, 100), "share of the true class (%)", 0.45 * n)
    return titled(figure, f"{title}: {100 * accuracy:.1f} % correct", f"{counts.sum():,} {of}")
