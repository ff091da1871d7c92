"""Figures of what was simulated: a raster, a membrane, the window of a rule. Wrong shapes raise `InputError`."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from jsnn.analysis import pairs
from jsnn.core.errors import InputError
from jsnn.core.protocols import Rule
from jsnn.engines.record import Record
from jsnn.plots.style import ACCENT, COLOURS, DASHES, INK, MUTED, STYLE, Figure, titled


@mpl.rc_context(STYLE)
def raster(record: Record, neuron: int | None = None, title: str | None = None) -> Figure:
    """One presentation: the input spikes, the spikes of the network, and the membrane of one neuron with its threshold.

    Args:
        record: Of `jsnn.simulate`, of one image; `record.one(0)` is the first of a batch.
        neuron: Whose membrane is drawn; by default the one that fires most, or whose potential comes nearest to its
            threshold where none fires.
        title: In the place of "One presentation".

    Returns:
        A matplotlib figure.

    Raises:
        InputError: A record of a batch, or a neuron that there is not.
    """
    inputs, spikes, v, threshold = _arrays(record)
    neuron = _chosen(neuron, spikes, v, threshold)
    dt = float(np.asarray(record.dt))
    figure = Figure(figsize=(8.0, 6.2), layout="constrained")
    top, middle, bottom = figure.subplots(3, sharex=True, height_ratios=(1.25, 1.0, 1.25))
    for axes, of, name, size in ((top, inputs, "input", 2.5), (middle, spikes, "output", 9.0)):
        step, index = np.nonzero(of)
        axes.scatter((step + 1) * dt, index, s=size, color=INK if axes is top else MUTED, linewidth=0)
        axes.set(ylim=(1.03 * of.shape[1], -0.03 * of.shape[1] - 1), ylabel=f"{name} neuron")
        axes.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
        n = "no spikes" if not step.size else "1 spike" if step.size == 1 else f"{step.size:,} spikes"
        axes.set_title(f"{n} of {of.shape[1]} {name} neuron{'s' * (of.shape[1] > 1)}", loc="left")
    mine = np.flatnonzero(spikes[:, neuron])
    middle.axhline(neuron, color=ACCENT, linewidth=0.8, alpha=0.35, zorder=0)
    middle.scatter((mine + 1) * dt, np.full(mine.size, neuron), s=20, color=ACCENT, linewidth=0)
    _membrane(bottom, v[:, neuron], spikes[:, neuron], threshold[:, neuron], dt)
    bottom.set_title(f"Membrane of output neuron {neuron}", loc="left", color=ACCENT)
    return titled(figure, title or "One presentation", "The potential is drawn as it is before a spike resets it.")


@mpl.rc_context(STYLE)
def voltage(
    v: Record | ArrayLike,
    spikes: ArrayLike | None = None,
    *,
    threshold: ArrayLike | None = None,
    dt: float = 1.0,
    neuron: int | None = None,
    title: str | None = None,
) -> Figure:
    """The potential of one membrane over time, its spikes, and its threshold.

    Args:
        v: mV, [n_steps], as `jsnn.simulate_neuron` gives it; or a record of `jsnn.simulate`, which has all the rest.
        spikes: bool[n_steps].
        threshold: mV, a number or [n_steps].
        dt: ms, of a step.
        neuron: Of a record: which neuron; by default as in `raster`.
        title: In the place of "Membrane potential".

    Returns:
        A matplotlib figure.

    Raises:
        InputError: Arrays of other shapes, a record of a batch, or a neuron that there is not.

    Example:
        >>> jsnn.plots.voltage(*jsnn.simulate_neuron(jsnn.LIF(), 20.0, dt=0.1, n_steps=2000), threshold=-52.0, dt=0.1)
    """
    name = "Membrane potential"
    if isinstance(v, Record):
        _, fired, potential, limit = _arrays(v)
        neuron = _chosen(neuron, fired, potential, limit)
        spikes, threshold, dt = fired[:, neuron], limit[:, neuron], float(np.asarray(v.dt))
        v, name = potential[:, neuron], f"{name} of neuron {neuron}"
    potential = np.asarray(v, float)
    fired = np.zeros(potential.shape, bool) if spikes is None else np.asarray(spikes, bool)
    if potential.ndim != 1 or not potential.size or fired.shape != potential.shape:
        raise InputError(f"v {list(potential.shape)}, spikes {list(fired.shape)}: they should be [n_steps], both")
    limit = None if threshold is None else np.asarray(threshold, float)
    if limit is not None and limit.shape not in ((), potential.shape):
        raise InputError(
            f"threshold {list(limit.shape)}: it should be a number, or [n_steps] = {list(potential.shape)}"
        )
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    _membrane(figure.subplots(), potential, fired, limit, float(dt))
    return titled(figure, title or name)


@mpl.rc_context(STYLE)
def stdp_window(rule: Rule, span: float = 60.0, dt: float = 1.0, w: float | None = None) -> Figure:
    """The weight change of an isolated pair of spikes against the time between them.

    It is measured (`jsnn.analysis.pairs`): each pair is presented to a synapse of the rule, whatever rule it is. A rule
    that needs a second postsynaptic spike (`Triplet`) is drawn as it answers where such a spike has just come before,
    too.

    Args:
        rule: A learning rule, such as `jsnn.STDP()`.
        span: ms, the longest time between two spikes.
        dt: ms, of a step.
        w: mV, the weight of the synapse; by default the middle between its bounds.

    Returns:
        A matplotlib figure.
    """
    k = round(span / dt)
    if k < 1:
        raise InputError(f"span = {span:g}: it should be at least dt = {dt:g} ms")
    lags = np.arange(-k, k + 1)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.axvline(0.0, color=MUTED, linewidth=0.8)
    lines: list[tuple[str, float | None]] = [("a pair alone", None)]
    if rule.slow_trace is not None:
        lines.append(("a postsynaptic spike just before", 1.0))
    extremes = []
    for i, (name, slow) in enumerate(lines):
        dw = pairs.window(rule, lags, dt, w, slow)
        extremes += [dw.min(), dw.max()]
        for side, part in enumerate((lags < 0, lags > 0)):
            look: Any = {"color": COLOURS[3] if i == 0 else ACCENT, "linestyle": DASHES[i], "linewidth": 1.8}
            axes.plot(lags[part] * dt, dw[part], label=None if side else name, **look)
        axes.plot(0.0, dw[k], "o", color=COLOURS[3] if i == 0 else ACCENT, markersize=4.5)
    axes.set(xlabel="time of the postsynaptic spike after the presynaptic one (ms)", ylabel="weight change (mV)")
    axes.set_xlim(-span, span)
    if len(lines) > 1:
        axes.legend(loc="upper left", fontsize=8.5)
    axes.set_title("post before pre", loc="left", color=MUTED, fontsize=9)
    axes.set_title("pre before post", loc="right", color=MUTED, fontsize=9)
    weight = pairs.middle_weight(rule) if w is None else w
    notes = f"weight {weight:g} mV", f"changes from {min(extremes):.2g} to {max(extremes):.2g} mV"
    return titled(figure, f"STDP window of {type(rule).__name__}", *notes, f"dot: both in the same step of {dt:g} ms")


def _arrays(record: Record) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Input spikes, spikes, potentials and thresholds of one presentation."""
    arrays = record.input_spikes, record.spikes, record.v, record.threshold
    inputs, spikes, v, threshold = map(np.asarray, arrays)
    if spikes.ndim != 2:
        what = "of a batch: take one of it, record.one(0)" if spikes.ndim == 3 else "of no image"
        raise InputError(f"the record is {what}; spikes should be [n_steps, n_neurons]")
    return inputs.astype(bool), spikes.astype(bool), v.astype(float), threshold.astype(float)


def _chosen(neuron: int | None, spikes: np.ndarray, v: np.ndarray, threshold: np.ndarray) -> int:
    """Whose membrane is drawn."""
    if neuron is None:
        nearest = np.max(v - threshold, axis=0)
        return int(np.argmax(spikes.sum(axis=0) if spikes.any() else nearest))
    if not 0 <= neuron < spikes.shape[1]:
        raise InputError(f"neuron {neuron}: it should be from 0 to {spikes.shape[1] - 1}")
    return neuron


def _membrane(axes: Axes, v: np.ndarray, spikes: np.ndarray, threshold: np.ndarray | None, dt: float) -> None:
    """A potential at the ends of its steps, its threshold, and marks where it fired."""
    time, parts = (np.arange(v.size) + 1) * dt, [v]
    axes.plot(time, v, color=COLOURS[3], linewidth=1.3, label="membrane potential")
    if threshold is not None:
        threshold = np.broadcast_to(threshold, v.shape)
        parts.append(threshold)
        axes.plot(time, threshold, color=INK, linewidth=1.1, linestyle=DASHES[1], label="threshold")
    room = max(float(np.ptp(np.concatenate(parts))), 1e-3)
    if spikes.any():
        foot = v[spikes] if threshold is None else np.maximum(v, threshold)[spikes]
        axes.vlines(time[spikes], foot, foot + 0.15 * room, color=ACCENT, linewidth=1.5, label="spike")
    axes.set(ylabel="potential (mV)", xlabel="time (ms)", xlim=(0, (v.size + 0.5) * dt))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0, fontsize=8.5)
