"""jsnn's side of experiments/benchmark.py: the same cases, and what the machine could do at best.

What is timed is `jsnn.learners.plasticity.training.train` and `jsnn.learners.plasticity.evaluation.responses`, as a
study calls them, encoding of images included; and `jsnn.learners.plasticity.trial` for neuroSush's shape, which has no
images.
"""

import dataclasses
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clock
import jax
import jax.numpy as jnp
import numpy as np

from jsnn import data
from jsnn.core.trace import Trace
from jsnn.engines import stimulus
from jsnn.engines.stimulus import ASSIGN, TRAIN, Inputs, Rasters
from jsnn.grid import groups, host
from jsnn.grid.groups import Trial
from jsnn.inhibition import DirectInhibition
from jsnn.learners import Plasticity
from jsnn.learners.plasticity import evaluation, plans, training, trial
from jsnn.networks.competitive import CompetitiveNetwork, Learned
from jsnn.neurons import LIF
from jsnn.rules import WeightDependentSTDP
from jsnn.runs import config
from jsnn.runs.records import environment

CONFIGS = Path(__file__).parent.parent.parent / "configs"
TOLERANCE = 1e-5  # mV, of the largest weight of 1: event and dense differ by the order of their sums


def trial_of(case: dict[str, Any]) -> Trial:
    """The network of the case: that of configs/headline.toml in another size, or neuroSush's."""
    if case["kind"] == "stdp":
        return stdp(case)
    if case["kind"] == "conductance":
        path = CONFIGS / "diehl_cook" / "published.toml"
        settings = [f"network.n_neurons={case['n']}", 'matrix.rule=["triplet"]', "run.again=none"]
        return config.load(path, settings).entries[0].trial
    settings = {"network.n_neurons": case["n"], "run.n_steps": case["steps"], "run.batch_size": case["batch"]}
    settings["encoder.poisson.intensity"] = case["intensity"]
    settings["network.lockstep"] = "false"
    if case["kind"] == "three_layer":
        settings["network.inhibition"] = f'{{ kind = "inhibitory_layer", strength = {case["inhibition"]} }}'
    return config.load(CONFIGS / "headline.toml", [f"{k}={v}" for k, v in settings.items()]).entries[0].trial


def stdp(case: dict[str, Any]) -> Trial:
    """The network of neuroSush's benchmark: five winners a step, whose rivals are reset, too."""
    trace = Trace(tau=10.0)
    network = CompetitiveNetwork(
        n_neurons=case["n"],
        neuron=LIF(tau_m=10.0, v_rest=-65.0, v_reset=-70.0, v_threshold=-55.0, refractory=0.0),
        rule=WeightDependentSTDP(eta_pre=5e-3, eta_post=1e-2, pre_trace=trace, post_trace=trace),
        inhibition=DirectInhibition(strength=0.0),
        tie_break="furthest",
        n_winners=5,
        ghosts=True,
        gain=2.0,
    )
    inputs = Inputs(encoder=None, n_steps=case["steps"], batch_size=case["batch"])  # pyright: ignore[reportArgumentType]
    return Trial(inputs=inputs, network=network, learner=Plasticity())


class Run:
    """A stream of presentations, a block at a time, of which the last block and its answers can be looked at."""

    rasters: Rasters
    counts: jax.Array

    def __init__(self, case: dict[str, Any]) -> None:
        self.case, self.trial, self.first = case, trial_of(case), 0
        self.images = jnp.asarray(np.load(case["images"]))
        self.n_active = stimulus.most_active(np.asarray(self.images))
        self.learned = trial.init(self.trial)
        cell = groups.plan([self.trial])[0].cells[0]
        usual = plans.ways(cell)[0]
        stdp = case["kind"] == "stdp"  # which fires in every step: more neurons than the event engine has slots for
        way = groups.Way("sparse") if stdp and case["batch"] == 1 else usual
        self.engine = plans.engine_of(way, self.trial)
        self.answering = evaluation.responder(cell, 10_000)  # as many as are labelled
        self.encode = jax.jit(stimulus.encode, static_argnums=5)
        self.train = jax.jit(trial.train, static_argnums=7)
        self.respond = jax.jit(trial.respond, static_argnums=5)
        if stdp:
            self.rasters = self.noise()

    def noise(self) -> Rasters:
        """A block of independent spikes, drawn once."""
        batch, n = self.case["batch"], max(1, self.case["block"] // self.case["batch"])
        shape = n, batch, self.case["steps"], 784
        active = jnp.broadcast_to(jnp.arange(784, dtype=jnp.int32), (n, batch, 784))
        spikes = jax.random.bernoulli(jax.random.key(0), self.case["input_rate"], shape)
        return Rasters(active=active, spikes=spikes, pixels=jnp.ones(active.shape))

    def index(self, batch: int, most: int | None = None) -> jax.Array:
        """Which images are shown next, int32[n_batches, batch]; at most `most` of them."""
        place = np.arange(max(self.case["block"], batch))
        shown = (self.first + place) % len(self.images)
        return jnp.asarray(np.where(place < (most or place.size), shown, -1).reshape(-1, batch), jnp.int32)

    def numbers(self, index: jax.Array) -> jax.Array:
        """The numbers of the presentations in their stream, as `index`."""
        return self.first + jnp.arange(index.size).reshape(index.shape)

    def encoded(self, purpose: int, index: jax.Array) -> Rasters:
        """The input spikes of these images."""
        return self.encode(self.trial.inputs, purpose, self.images, index, self.numbers(index), self.n_active)

    def block(self, most: int | None = None, engine: Any = None) -> int:
        """Train on the next block of images and return how many there were (for "stdp": how many steps)."""
        case = self.case
        index = self.index(case["batch"], most)
        if case["kind"] != "stdp":
            self.rasters = self.encoded(TRAIN, index)
        n_shown = jnp.sum(jnp.any(index >= 0, axis=1))
        order = index, self.numbers(index), self.first, n_shown
        args = self.trial, self.learned, self.rasters, *order, engine or self.engine
        self.learned, self.counts = jax.block_until_ready(self.train(*args))
        self.first += index.size
        return index.shape[0] * case["steps"] if case["kind"] == "stdp" else index.size

    def answer(self) -> int:
        """Answer the next block with the frozen network."""
        index = self.index(plans.EVAL_BATCH)
        self.rasters = self.encoded(ASSIGN, index)
        args = self.trial, self.learned, self.rasters, ASSIGN, self.numbers(index), self.answering
        self.counts = jax.block_until_ready(self.respond(*args))
        self.first += index.size
        return index.size

    def settle(self) -> None:
        """Start from a network that has learned for a while: an untrained one fires far more than any other.

        The first process that measures a network trains it and leaves it for the rival and for the rounds to come.
        """
        start = clock.learned(self.case)
        if start is None:
            while self.first < self.case["burn_in"]:
                self.block()
            known = {name: x for name, x in vars(self.learned).items() if x is not None}
            np.savez(self.case["learned"], **known)  # pyright: ignore[reportArgumentType]
        else:
            self.learned = Learned(**{name: jnp.asarray(x) for name, x in start.items()})
        self.first = self.case["burn_in"]

    def totals(self) -> dict[str, float]:
        """What happened in the last block, per unit: an image, or a step of a batch."""
        case, n = self.case, self.case["n"]
        presentations = self.counts.shape[0] * self.counts.shape[1]
        units = self.counts.shape[0] * case["steps"] if case["kind"] == "stdp" else presentations
        n_active = float(jnp.sum(self.rasters.active < 784)) / presentations
        spikes_in, spikes_out = float(jnp.sum(self.rasters.spikes)), float(jnp.sum(self.counts))
        events = spikes_in * n + (spikes_out * n_active if case["learning"] else 0.0)
        updates = presentations * case["steps"] * n * (2 if case["kind"] in ("three_layer", "conductance") else 1)
        return {
            "input_spikes": spikes_in / units,
            "output_spikes": spikes_out / units,
            "neurons_fired": float(jnp.sum(self.counts > 0)) / presentations,
            "synaptic_events": events / units,
            "neuron_updates": updates / units,
        }

    def agreement(self, n: int) -> dict[str, Any]:
        """Whether the engine and the dense engine, which is the definition, learn the same from `n` presentations."""
        start, first, seen = self.learned, self.first, []
        for engine in (self.engine, plans.engine_of(groups.Way("dense"), self.trial)):
            self.learned, self.first = start, first
            self.block(n, engine)
            seen.append((self.learned, self.counts))
        (a, counts), (b, dense_counts) = seen
        max_dw = float(jnp.max(jnp.abs(a.weights - b.weights)))
        same = bool(jnp.all(counts == dense_counts)) and float(jnp.sum(counts)) > 0
        self.learned, self.first = start, first
        return {"agree": same and max_dw <= TOLERANCE, "max_dw": max_dw, "agree_on": n}


def seconds_of(f: Callable[..., Any], *arguments: Any) -> float:
    """Seconds of one call, the shortest of several: what the machine can do."""
    jax.block_until_ready(f(*arguments))
    times = []
    for _ in range(7):
        began = time.perf_counter()
        jax.block_until_ready(f(*arguments))
        times.append(time.perf_counter() - began)
    return min(times)


def machine(n_weights: int) -> dict[str, float]:
    """Seconds that this machine needs for an add of cached float32, for a byte of an array as large as the weights,
    and for one fused update of a cached membrane; each inside one compiled loop.
    """
    repeats, size, rows = 300, 16384, 4

    def adds(total, x):
        def body(_, total):
            for row in x:
                total = total + row
            return total

        return jax.lax.fori_loop(0, repeats, body, total)

    def updates(v, drive):
        def body(_, v):
            v = -65.0 + (v + 65.0) * 0.99 + drive
            return jnp.where(v >= -52.0, -60.0, v)

        return jax.lax.fori_loop(0, repeats, body, v)

    passes = max(1, 20_000_000 // n_weights)

    def rewrite(x):
        return jax.lax.fori_loop(0, passes, lambda _, x: x + 1.0, x)

    add = seconds_of(jax.jit(adds), jnp.zeros(size), jnp.ones((rows, size))) / (repeats * rows * size)
    update = seconds_of(jax.jit(updates), jnp.full(size, -65.0), jnp.ones(size)) / (repeats * size)
    byte = seconds_of(jax.jit(rewrite), jnp.ones(n_weights)) / (passes * n_weights * 8)
    return {"add_seconds": add, "update_seconds": update, "byte_seconds": byte}


class Study:
    """Trials that train on a few images and go on from what they have learned, pass after pass."""

    def __init__(self, case: dict[str, Any], trials: list[Trial], learned: Learned | None = None) -> None:
        self.data = data.load("mnist_excerpt")
        alone = [[t] for t in trials[:: case["seeds"]]] if case["alone"] else [trials]
        self.lanes = [lane for some in alone for lane in groups.plan(some)]
        self.states = [plans.start(lane, self.data.n_classes) for lane in self.lanes]
        if learned is not None:
            stacked = jax.tree.map(lambda leaf: leaf[None], learned)
            self.states = [dataclasses.replace(state, learned=(stacked,)) for state in self.states]
        least = max(64, case["pass_images"] // len(trials))
        self.schedules = [
            groups.Schedule(n_train=full_blocks(lane, least), n_assign=1, n_test=1, windows=1) for lane in self.lanes
        ]

    def block(self) -> int:
        """One pass; returns how many presentations there were, over all trials."""
        done = 0

        def on_progress(n: int) -> None:
            nonlocal done
            done += n

        for i, (lane, schedule) in enumerate(zip(self.lanes, self.schedules, strict=True)):
            state = training.train(lane, self.data, schedule, self.states[i], on_progress, lambda state: None)
            self.states[i] = dataclasses.replace(state, window=0)
        return done


class Answers:
    """A frozen network that answers images, pass after pass."""

    def __init__(self, case: dict[str, Any], one: Trial, learned: Learned) -> None:
        self.lane = groups.plan([one])[0]
        self.learned = [jax.tree.map(lambda leaf: leaf[None], learned)]
        self.images = data.load("mnist_excerpt").train_images[: case["pass_images"]]

    def block(self) -> int:
        """One pass; returns how many presentations there were."""
        evaluation.responses(self.lane, self.learned, self.images, ASSIGN, lambda n: None)
        return len(self.images)


def trials_of(case: dict[str, Any]) -> list[Trial]:
    """The trials of a grid, the seeds of each cell beside each other: of the headline network, or of the 36 cells."""
    if case["kind"] == "grid":
        one = trial_of(case)
        return [config.with_inputs(one, dataclasses.replace(one.inputs, seed=s)) for s in range(case["seeds"])]
    settings = {"run.n_steps": case["steps"], "run.batch_size": case["batch"], "network.n_neurons": case["n"]}
    settings["sweep.run.seed"] = list(range(case["seeds"]))
    return [e.trial for e in config.load(CONFIGS / "matrix.toml", [f"{k}={v}" for k, v in settings.items()]).entries]


def full_blocks(lane: groups.Lane, least: int) -> int:
    """Presentations of each trial, at least `least`, that fill whole blocks of the study."""
    block = plans.batches_of(lane) * lane.inputs.batch_size
    return -(-least // block) * block


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    more: dict[str, Any] = {}
    host.keep_memory()
    if not case["alone"] and (case["kind"] != "stdp" or case["batch"] == 1):  # a batch in lockstep: all cores together
        host.use_cores(clock.cores())
    if case["kind"] in ("grid", "study"):
        per_second = clock.rate(Study(case, trials_of(case)).block, case["seconds"], warm_up=2)
    else:
        run = Run(case)
        if case["learned"]:
            run.settle()
        if case["kind"] == "stdp":
            work, engine = run.block, run.engine
        elif case["learning"]:
            work, engine = Study(case, [run.trial], run.learned).block, run.engine
        else:
            work, engine = Answers(case, run.trial, run.learned).block, run.answering
        per_second = clock.rate(work, case["seconds"], warm_up=2 if case["n"] < 1000 else 1)
        run.block() if case["learning"] else run.answer()
        more = run.totals() | machine(784 * case["n"]) | {"engine": str(engine)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if case["kind"] in ("two_layer", "three_layer", "conductance") and case["learning"] and case["check"]:
        more |= run.agreement(max(case["check"], case["batch"]))
    clock.report(per_second=per_second, peak_gib=peak, **more, **environment())


if __name__ == "__main__":
    main()
