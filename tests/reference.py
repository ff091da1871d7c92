"""The networks in plain Python and NumPy (float64), one neuron and one synapse at a time: slow, and meant to be read.

Written from equations, with whole spike histories where the engines carry state, so that it shares no idea of how to
compute anything with `jsnn.engines`. Nodes of jsnn serve as records of parameters only.

    (1)  tau_m dv/dt = -(v - v_rest) between inputs, v jumps by the weight at an input     Gerstner & Kistler 2002, §4.1
    (2)  a spike where v >= v_threshold + theta; then v = v_reset, input lost for `refractory` ms             ibid.
    (3)  theta += theta_plus at a spike, tau_theta dtheta/dt = -theta                       Diehl & Cook 2015, §2.3
    (4)  inhibition of all neurons but the one it came from                                 Diehl & Cook 2015, §2.2
    (5)  x(t) = sum_k exp(-(t - t_k) / tau), over all past spikes t_k or the last alone     Morrison et al. 2008, §4.1
    (6)  at a presynaptic spike dw = A_-(w) x_post, at a postsynaptic one dw = A_+(w) x_pre           Morrison, §4.1
    (7)  A_-(w) = -eta_pre (w - w_min), A_+(w) = eta_post (w_max - w)                       Gütig et al. 2003, mu = 1
    (12) Diehl & Cook's four rules: A_+(w) acts on x_pre - x_tar, or on x_pre times the slow post trace before the spike
         Diehl & Cook 2015, eq. 3-6 and their code; Pfister & Gerstner 2006
    (8)  the changes of a batch become one: sum, mean, max                                  Saunders et al. 2019
    (9)  sum_i |w_ij| = norm, or the root of sum_i w_ij^2 = norm            Diehl & Cook 2015, their code; Oja 1982, (2)
    (10) each projection delays one step; bounds in every step, (9) after the last          BindsNET 0.3.4, Network.run
    (11) losers of a tie-break are reset and raise theta ("ghosts")                         BindsNET 0.3.4, one_spike
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jsnn.inhibition import InhibitoryLayer
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.neurons import IF, LIF
from jsnn.rules import STDP, Exponential, Hebbian, PowerLaw, PreAndPost, Triplet, WeightDependentSTDP


class Outcome(NamedTuple):
    weights: np.ndarray  # [n_input, n_neurons], after the presentation
    theta: np.ndarray  # [n_neurons]
    spikes: np.ndarray  # bool[n_steps, batch, n_neurons]
    v: np.ndarray  # [n_steps, batch, n_neurons], after resets
    margin: float  # mV: how close any comparison came to going the other way
    ghosts: int  # neurons that crossed and lost


def membrane(neuron, v: float, refractory: float, current: float, dt: float) -> tuple[float, float]:
    """Potential and refractory time of one neuron after one step."""
    if isinstance(neuron, LIF):
        # (1), exact over dt; the input arrives at its end
        v = neuron.v_rest + (v - neuron.v_rest) * math.exp(-dt / neuron.tau_m)
    else:
        assert isinstance(neuron, IF)  # (1) for tau_m -> infinity
    if refractory <= 0:  # (2)
        v = v + current
    return max(v, neuron.v_floor), refractory - dt


def fire(tie_break: str, excess: list[float], choose: Callable[[list[int]], list[int]]) -> list[int]:
    """Who fires among those over their threshold."""
    crossed = [j for j, over in enumerate(excess) if over >= 0]
    if not crossed or tie_break == "none":
        return crossed
    if tie_break == "first":
        return [min(crossed)]
    if tie_break == "furthest":
        return [min(crossed, key=lambda j: (-excess[j], j))]
    return choose(crossed)


def trace(spike_times: list[int], t: int, dt: float, tau: float, additive: bool) -> float:
    """(5), `tau` and `dt` in ms, times in steps."""
    if not spike_times:
        return 0.0
    if additive:
        return sum(math.exp(-(t - s) * dt / tau) for s in spike_times)
    return math.exp(-(t - max(spike_times)) * dt / tau)


def slow_before(rule, spike_times: list[int], t: int, dt: float) -> float:
    """(12): what a postsynaptic spike in step t, the last one of these, counts."""
    slow = rule.slow_trace
    return 1.0 if slow is None else trace(spike_times[:-1], t, dt, slow.tau, slow.additive)


def amplitudes(rule, w: float) -> tuple[float, float, float]:
    """A_-(w), A_+(w) of (6), and what a postsynaptic spike changes without any presynaptic one (12)."""
    if isinstance(rule, STDP | Triplet):
        return -rule.eta_pre, +rule.eta_post, 0.0
    if isinstance(rule, WeightDependentSTDP):  # (7)
        return -rule.eta_pre * (w - rule.w_min), +rule.eta_post * (rule.w_max - w), 0.0
    if isinstance(rule, Hebbian):
        return +rule.eta_pre, +rule.eta_post, 0.0
    if isinstance(rule, Exponential):  # (12)
        up, down = math.exp(-rule.beta * w), math.exp(-rule.beta * (rule.w_max - w))
        return 0.0, rule.eta_post * up, -rule.eta_post * rule.x_tar * down
    assert isinstance(rule, PowerLaw | PreAndPost)  # (12)
    room = rule.eta_post * max(rule.w_max - w, 0.0) ** rule.mu
    at_pre = -rule.eta_pre * max(w - rule.w_min, 0.0) ** rule.mu if isinstance(rule, PreAndPost) else 0.0
    return at_pre, room, -room * rule.x_tar


def reduce(reduction: str, products: list[float], n_valid: int, n_fired: int) -> float:
    """(8)."""
    if reduction == "sum":
        return sum(products)
    if reduction == "mean":
        return sum(products) / n_valid
    if reduction == "max":
        return max(products)
    assert reduction == "mean_fired"
    return sum(products) / max(n_fired, 1)


def lateral(strength: float, n: int) -> np.ndarray:
    """(4). Row: sender, column: receiver."""
    return -strength * (np.ones((n, n)) - np.eye(n))


def normalise(weights: np.ndarray, norm: float | None, order: int = 1) -> np.ndarray:
    """(9); a column of zeros stays."""
    weights = weights.copy()
    if norm is not None:
        for j in range(weights.shape[1]):
            length = sum(abs(w) ** order for w in weights[:, j]) ** (1 / order)
            if length > 0:
                weights[:, j] *= norm / length
    return weights


def present(
    network: CompetitiveNetwork,
    weights: np.ndarray,
    theta: np.ndarray,
    raster: np.ndarray,
    dt: float,
    valid: np.ndarray | None = None,
    choose: Callable[[int, int, list[int]], list[int]] | None = None,
    learning: bool = True,
    scale: np.ndarray | None = None,
) -> Outcome:
    """One batch of presentations, side by side: `raster` bool[n_steps, batch, n_input].

    `choose(t, b, crossed)` decides random tie-breaks. Without `learning` nothing that was learned changes.
    """
    n_steps, n_batch, n_input = raster.shape
    neuron, rule, inhibition, n = network.neuron, network.rule, network.inhibition, network.n_neurons
    adaptation = neuron.adaptation
    present_in = [b for b in range(n_batch) if valid is None or valid[b]]
    weights, theta = np.array(weights, float), np.array(theta, float)
    lateral_weights = lateral(inhibition.strength, n)

    start = neuron.v_rest if isinstance(neuron, LIF) else neuron.v_reset
    v, refractory = np.full((n_batch, n), start), np.zeros((n_batch, n))
    has_layer = isinstance(inhibition, InhibitoryLayer)
    if has_layer:
        v_inh, refractory_inh = np.full((n_batch, n), inhibition.neuron.v_rest), np.zeros((n_batch, n))
    # spikes of step t are in row t + 1: row 0 is before the presentation
    exc = np.zeros((n_steps + 1, n_batch, n), bool)
    inh = np.zeros((n_steps + 1, n_batch, n), bool)
    inputs = np.zeros((n_steps + 1, n_batch, n_input), bool)
    for b in present_in:
        inputs[1:, b] = raster[:, b]
    potentials = np.zeros((n_steps, n_batch, n))
    times_pre = [[[] for _ in range(n_input)] for _ in range(n_batch)]
    times_post = [[[] for _ in range(n)] for _ in range(n_batch)]
    margin, ghosts = math.inf, 0

    for t in range(n_steps):
        if learning and adaptation is not None and adaptation.clock == "step":
            theta *= math.exp(-dt / adaptation.tau_theta)  # (3)
        raises = np.zeros(n)
        for b in range(n_batch):
            # (10): what arrives now was sent in step t - 1 (row t)
            sent = inh[t, b] if has_layer else exc[t, b]
            excess = []
            for j in range(n):
                current = network.gain * sum(weights[i, j] for i in range(n_input) if inputs[t, b, i])
                current *= 1.0 if scale is None else scale[j]
                current += sum(lateral_weights[k, j] for k in range(n) if sent[k])
                v[b, j], refractory[b, j] = membrane(neuron, v[b, j], refractory[b, j], current, dt)
                excess.append(v[b, j] - neuron.v_threshold - theta[j])
            fired = fire(network.tie_break, excess, lambda crossed, t=t, b=b: choose(t, b, crossed))
            crossed = [j for j in range(n) if excess[j] >= 0]
            for j in crossed if network.ghosts else fired:  # (11)
                v[b, j], refractory[b, j] = neuron.v_reset, neuron.refractory
                if b in present_in:
                    raises[j] += 1
            if has_layer:
                for j in range(n):
                    current = inhibition.excitation if exc[t, b, j] else 0.0
                    v_inh[b, j], refractory_inh[b, j] = membrane(
                        inhibition.neuron, v_inh[b, j], refractory_inh[b, j], current, dt
                    )
                    if v_inh[b, j] >= inhibition.neuron.v_threshold:
                        inh[t + 1, b, j] = True
                        v_inh[b, j], refractory_inh[b, j] = (
                            inhibition.neuron.v_reset,
                            inhibition.neuron.refractory,
                        )
            potentials[t, b] = v[b]
            if b in present_in:
                exc[t + 1, b, fired] = True
                ghosts += len(crossed) - len(fired)
                margin = min([margin, *map(abs, excess)])
                if network.tie_break == "furthest" and len(crossed) > 1:
                    first, second = sorted(excess, reverse=True)[:2]
                    margin = min(margin, first - second)

        if not learning:
            continue
        if adaptation is not None:
            theta += adaptation.theta_plus * raises  # (3)

        for b in present_in:
            for i in np.flatnonzero(raster[t, b]):
                times_pre[b][i].append(t)
            for j in np.flatnonzero(exc[t + 1, b]):
                times_post[b][j].append(t)
        x_pre, x_post = rule.pre_trace, rule.post_trace
        change = np.zeros_like(weights)
        pre_spiked = [i for i in range(n_input) if any(inputs[t + 1, b, i] for b in present_in)]
        post_spiked = [j for j in range(n) if any(exc[t + 1, b, j] for b in present_in)]
        n_fired = [sum(bool(times_post[b][j]) for b in present_in) for j in range(n)]
        for i in range(n_input):
            for j in range(n):
                at_pre, at_post, alone = amplitudes(rule, weights[i, j])  # (6): all from the weight before the step
                if i in pre_spiked and x_post is not None:
                    products = [
                        trace(times_post[b][j], t, dt, x_post.tau, x_post.additive) if inputs[t + 1, b, i] else 0.0
                        for b in present_in
                    ]
                    change[i, j] += at_pre * reduce(network.reduction, products, len(present_in), n_fired[j])
                if j in post_spiked:
                    sizes = [
                        slow_before(rule, times_post[b][j], t, dt) if exc[t + 1, b, j] else 0.0 for b in present_in
                    ]
                    products = [
                        size * trace(times_pre[b][i], t, dt, x_pre.tau, x_pre.additive)
                        for size, b in zip(sizes, present_in, strict=True)
                    ]
                    change[i, j] += at_post * reduce(network.reduction, products, len(present_in), n_fired[j])
                    change[i, j] += alone * reduce(network.reduction, sizes, len(present_in), n_fired[j])
        for i in range(n_input):
            for j in range(n):  # (10)
                weights[i, j] = min(max(weights[i, j] + change[i, j], rule.w_min), rule.w_max)

    if learning:
        if adaptation is not None and adaptation.clock == "presentation":
            for _ in present_in:  # as many presentations of n_steps * dt as there were, one after the other
                theta = theta * math.exp(-n_steps * dt / adaptation.tau_theta)
        weights = normalise(weights, network.norm, network.norm_order)
    return Outcome(weights, theta, exc[1:], potentials, margin, ghosts)
