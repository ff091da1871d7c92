"""Brian2's side of experiments/benchmark.py: the network of Diehl & Cook (2015), with conductances, in Brian2.

Two modes, by `mode` of the case. "speed", unless it says otherwise, measures images a second. "compare" runs spikes
that it is given through the network and writes all that happens, for a comparison spike for spike:

- case["file"]: an .npz of `spikes` bool[n_images, n_steps, 784] (steps of 0.5 ms, the rest between images among them),
  `weights` [784, n], `delay` int[784, n] in steps, `theta` [n] in mV (threshold: theta - 72 mV).
- `reset` restarts all fast state at every image; otherwise all carries on. `normalise`, if any, is the sum to which the
  weights of each neuron are scaled before every image. `v_init`: [E, I] in mV where fast state starts, if not at rest.
- `record`: the excitatory neurons whose v (mV), ge, gi and theta (mV) are recorded.
- `rule`: "triplet" (eta_pre, eta_post) or "power_law" (eta_post, x_tar, mu); `timer` adds the one of Brian2's example.
- case["out"]: the .npz that is written, with `exc_i`, `exc_t`, `inh_i`, `inh_t` (neuron and step of every spike, over
  the whole run), `v_exc`, `ge`, `gi`, `theta` [n_record, n_images * n_steps], and `weights_after` [n_images, 784, n]
  and `theta_after` [n_images, n] as each image leaves them.

What Brian2 does in step k, at t = k * dt, in this order:

1. The monitors of v, ge, gi, theta sample: their column k is the state before step k, which step k - 1 left.
2. State update, Euler: from the old values, all at once, v += dt / tau * (...) where not refractory, ge *= 1 - dt /
   1 ms, gi *= 1 - dt / 2 ms, theta *= 1 - dt / 1e7 ms. A neuron that spiked in step s is refractory up to and including
   step s + 9 (E) or s + 3 (I).
3. Thresholds, with the new v and the decayed theta, where not refractory: these spikes, and those of the input, have
   time t = k * dt.
4. Synapses. First all arrivals: input of step k - delay, spikes of E and I of this very step k. They change ge and gi,
   which move v in step k + 1, with their full size. The plastic ones act on `ge` with the weight as it was, and then
   learn. After all arrivals, the postsynaptic part of the rule for the E spikes of step k. Traces are decayed with the
   exact exponential from their last event to this one.
5. Resets: v, and theta += 0.05 mV.
"""
# pyright: reportMissingImports=false

import sys
import time
from pathlib import Path
from typing import Any

import brian2 as b2
import clock
import numpy as np
from brian2 import Hz, ms, mV, second

DT = 0.5 * ms
N_INPUT = 784
SHOWN, REST = 7, 3  # of an image and after it, in ticks
TICK = 50 * ms

MEMBRANE = """
dv/dt = (v_rest - v + ge * (0 * mV - v) + gi * (v_inh - v)) / tau : volt (unless refractory)
dge/dt = -ge / (1 * ms) : 1
dgi/dt = -gi / (2 * ms) : 1
"""
EXCITATORY = {"v_rest": -65 * mV, "v_inh": -100 * mV, "tau": 100 * ms}
INHIBITORY = {"v_rest": -60 * mV, "v_inh": -85 * mV, "tau": 10 * ms}
THETA = "dtheta/dt = -theta / (1e7 * ms) : volt\n"
TIMER = "dtimer/dt = 0.1 : second\n"  # the example's: 5 ms on it are 50 ms

SYNAPSE = """
w : 1
dpre1/dt = -pre1 / (20 * ms) : 1 (event-driven)
"""
TRIPLET = {
    "model": SYNAPSE
    + """
    before : 1
    dpost1/dt = -post1 / (20 * ms) : 1 (event-driven)
    dpost2/dt = -post2 / (40 * ms) : 1 (event-driven)
    """,
    "on_pre": """
    ge_post += w
    pre1 = 1
    w = clip(w - eta_pre * post1, 0, 1)
    """,
    "on_post": """
    before = post2
    w = clip(w + eta_post * pre1 * before, 0, 1)
    post1 = 1
    post2 = 1
    """,
}
POWER_LAW = {
    "model": SYNAPSE,
    "on_pre": """
    ge_post += w
    pre1 += 1
    """,
    "on_post": "w = clip(w + eta_post * (pre1 - x_tar) * clip(1 - w, 0, 1) ** mu, 0, 1)",
}
RULES = {"triplet": TRIPLET, "power_law": POWER_LAW}
CONSTANTS = {"eta_pre": 1e-4, "eta_post": 1e-2, "x_tar": 0.4, "mu": 0.2}
TRACES = "pre1", "post1", "post2"  # not "pre": Synapses.pre is the pathway


class Network:
    """Input -> excitatory (plastic), excitatory <-> inhibitory."""

    def __init__(self, case: dict[str, Any], source: Any, weights: np.ndarray, theta: np.ndarray, delay: Any) -> None:
        """`weights` [784, n], `theta` [n] in mV, `delay` [784, n] in seconds."""
        timer, n = case.get("timer", False), len(theta)
        self.v_init = case.get("v_init", (-65.0, -60.0))
        self.source = source
        self.excitatory = b2.NeuronGroup(
            n,
            MEMBRANE + THETA + TIMER * timer,
            threshold="v > theta - 72 * mV" + " and timer > 5 * ms" * timer,
            reset="v = -65 * mV; theta += 0.05 * mV" + "; timer = 0 * ms" * timer,
            refractory=5 * ms,
            method="euler",
            namespace=EXCITATORY,
        )
        self.inhibitory = b2.NeuronGroup(
            n,
            MEMBRANE,
            threshold="v > -40 * mV",
            reset="v = -45 * mV",
            refractory=2 * ms,
            method="euler",
            namespace=INHIBITORY,
        )
        rule = RULES[case.get("rule", "triplet")]
        constants = {name: case.get(name, value) for name, value in CONSTANTS.items()}
        self.plastic = b2.Synapses(source, self.excitatory, **rule, namespace=constants)
        self.plastic.connect()  # all to all, ordered by input: index i * n + j
        self.plastic.delay = delay.reshape(-1) * second
        to_inhibitory = b2.Synapses(self.excitatory, self.inhibitory, on_pre="ge_post += 10.4")
        to_inhibitory.connect(j="i")
        lateral = b2.Synapses(self.inhibitory, self.excitatory, on_pre="gi_post += 17")
        lateral.connect(condition="i != j")
        self.synapses = self.plastic, to_inhibitory, lateral
        self.weights = weights
        self.excitatory.theta = theta * mV
        self.restart()

    @property
    def parts(self) -> tuple[Any, ...]:
        """What a Brian2 network is made of."""
        return self.source, self.excitatory, self.inhibitory, *self.synapses

    @property
    def weights(self) -> np.ndarray:
        """Plastic weights [784, n]."""
        return np.array(self.plastic.w).reshape(N_INPUT, -1)

    @weights.setter
    def weights(self, weights: np.ndarray) -> None:
        self.plastic.w = weights.reshape(-1)

    def normalise(self, total: float) -> None:
        """Scale the weights of every excitatory neuron to this sum."""
        weights = self.weights
        self.weights = weights * (total / weights.sum(axis=0))

    def restart(self) -> None:
        """All fast state as at the start: nothing refractory, nothing on its way. Not within a run."""
        for group, v in zip((self.excitatory, self.inhibitory), self.v_init, strict=True):
            group.variables["not_refractory"].set_value(True)
            group.variables["lastspike"].set_value(-1e4)  # s: Brian2's own "never"
            group.v, group.ge, group.gi = v * mV, 0, 0
        if "timer" in self.excitatory.variables:
            self.excitatory.timer = 1 * second
        for trace in TRACES:
            if trace in self.plastic.variables:
                setattr(self.plastic, trace, 0)
        for synapses in self.synapses:
            for pathway in synapses._pathways:
                pathway.queue._restore_from_full_state(None)  # empty; the next run makes it as long as is needed


def compare(case: dict[str, Any]) -> None:
    """Run the images given, and write what happened."""
    with np.load(case["file"]) as file:
        given = {name: file[name] for name in ("spikes", "weights", "delay", "theta")}
    n_images, n_steps, _ = given["spikes"].shape
    steps, inputs = np.nonzero(given["spikes"].reshape(-1, N_INPUT))
    source = b2.SpikeGeneratorGroup(N_INPUT, inputs, steps * DT)
    net = Network(case, source, given["weights"], given["theta"], given["delay"] * float(DT))
    exc, inh = b2.SpikeMonitor(net.excitatory), b2.SpikeMonitor(net.inhibitory)
    states = b2.StateMonitor(net.excitatory, ("v", "ge", "gi", "theta"), record=list(case.get("record", ())))
    network = b2.Network(*net.parts, exc, inh, states)
    weights, thetas = [], []
    for image in range(n_images):
        if image and case.get("reset", False):
            net.restart()
        if case.get("normalise"):
            net.normalise(case["normalise"])
        network.run(n_steps * DT)
        weights.append(net.weights)
        thetas.append(np.array(net.excitatory.theta / mV))
    np.savez(
        case["out"],
        exc_i=np.array(exc.i),
        exc_t=np.rint(exc.t / DT).astype(np.int64),
        inh_i=np.array(inh.i),
        inh_t=np.rint(inh.t / DT).astype(np.int64),
        v_exc=np.array(states.v / mV),
        ge=np.array(states.ge),
        gi=np.array(states.gi),
        theta=np.array(states.theta / mV),
        weights_after=np.stack(weights),
        theta_after=np.stack(thetas),
    )
    clock.report(
        version=b2.__version__,
        input_spikes=len(steps),
        output_spikes=int(exc.num_spikes),
        inhibitory_spikes=int(inh.num_spikes),
    )


class Show:
    """Shows image after image, within one run of Brian2, as each run takes it a while to prepare; or, if the case says
    `run_each`, in two runs each.
    """

    def __init__(self, case: dict[str, Any], net: Network) -> None:
        self.net, self.images, self.hz = net, clock.images(case, 1), case.get("intensity", 63.75) / 255.0
        self.counters = b2.SpikeMonitor(net.source, record=False), b2.SpikeMonitor(net.excitatory, record=False)
        operations = [] if case.get("run_each") else [b2.NetworkOperation(self.tick, dt=TICK)]
        self.network = b2.Network(*net.parts, *self.counters, *operations)
        self.ticks = self.seconds = 0

    def tick(self) -> None:
        """What Brian2 calls at the start of a step, every 50 ms."""
        phase = self.ticks % (SHOWN + REST)
        if phase == 0:
            now = time.perf_counter()
            if self.ticks == 0:
                self.began = now
            elif now - self.began >= self.seconds:
                self.spent = now - self.began
                self.network.stop()
                return
            self.net.normalise(78.0)
            self.net.source.rates = next(self.images)[0] * self.hz * Hz
        elif phase == SHOWN:
            self.net.source.rates = 0 * Hz
        self.ticks += 1

    def run_each(self, seconds: float) -> tuple[float, list[float]]:
        """The same with two runs an image, as Brian2's own example has it."""
        before = [int(counter.num_spikes) for counter in self.counters]
        shown, began = 0, time.perf_counter()
        while not shown or time.perf_counter() - began < seconds:
            self.net.normalise(78.0)
            self.net.source.rates = next(self.images)[0] * self.hz * Hz
            self.network.run(SHOWN * TICK)
            self.net.source.rates = 0 * Hz
            self.network.run(REST * TICK)
            shown += 1
        spent = time.perf_counter() - began
        spikes = [(int(counter.num_spikes) - n) / shown for counter, n in zip(self.counters, before, strict=True)]
        return shown / spent, spikes

    def run(self, seconds: float) -> tuple[float, list[float]]:
        """Show images until `seconds` have passed, at least one: images a second; input and output spikes of one."""
        before = [int(counter.num_spikes) for counter in self.counters]
        self.ticks, self.seconds = 0, seconds
        self.network.run(1e5 * second)
        shown = self.ticks / (SHOWN + REST)
        spikes = [(int(counter.num_spikes) - n) / shown for counter, n in zip(self.counters, before, strict=True)]
        return shown / self.spent, spikes


def speed(case: dict[str, Any]) -> None:
    """Measure one case: learning, 350 ms of every image and 150 ms of rest. One run before has all code compiled."""
    b2.seed(0)
    random, n = np.random.default_rng(0), case["n"]
    start = clock.learned(case) or {
        "weights": 0.3 * (random.random((N_INPUT, n)) + 0.01),
        "theta": np.full(n, 20.0),
    }
    source = b2.PoissonGroup(N_INPUT, np.zeros(N_INPUT) * Hz)
    delay = random.uniform(0.0, 0.01, (N_INPUT, n))
    show = Show(case, Network(case, source, start["weights"], start["theta"], delay))
    run = show.run_each if case.get("run_each") else show.run
    run(0.0)
    per_second, (input_spikes, output_spikes) = run(case["seconds"])
    clock.report(
        per_second=per_second, version=b2.__version__, input_spikes=input_spikes, output_spikes=output_spikes, threads=1
    )


def main() -> None:
    """One case."""
    case = clock.read_case()
    comparing = case.get("mode", "speed") == "compare"
    b2.defaultclock.dt = DT
    b2.prefs.codegen.target = "cython"
    # Brian2 compiles with -ffast-math. A comparison is of exact arithmetic; what is compiled is kept for each apart.
    b2.prefs.codegen.runtime.cython.cache_dir = str(Path(sys.prefix) / "compiled" / ("exact" if comparing else "fast"))
    if comparing:
        b2.prefs.codegen.cpp.extra_compile_args = ["-w", "-O2", "-ffp-contract=off", "-std=c++11"]
    (compare if comparing else speed)(case)


if __name__ == "__main__":
    main()
