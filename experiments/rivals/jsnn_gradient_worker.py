"""jsnn's side of the cases of experiments/benchmark.py that learn by gradients, and that of a plain jax.lax.scan.

What is timed is `jsnn.networks.feedforward.Feedforward.respond` and `jsnn.learners.bptt`, jitted, as
`jsnn.learners.updates.train` calls them; a "memory" case also reports what XLA allots to the pass beside its arguments
and results.
"""

import resource
from collections.abc import Callable
from typing import Any, cast

import clock
import jax
import jax.numpy as jnp
import optax
from jax import Array

from jsnn import surrogates
from jsnn.grid import host
from jsnn.learners import BPTT
from jsnn.learners.optimiser import Optimiser
from jsnn.networks.feedforward import Feedforward, LabelledBatch, Params
from jsnn.neurons import LIF
from jsnn.runs.records import environment


def network_of(case: dict[str, Any]) -> Feedforward:
    """The network of the case."""
    n_input, *layers = case["sizes"]
    return Feedforward(
        architecture="-".join(str(n) for n in layers),
        input_shape=(n_input,),
        neuron=LIF(tau_m=case["tau"], v_rest=0.0, v_threshold=1.0, v_reset=0.0, refractory=None, reset="soft"),
        chunk=case["chunk"] or None,
    )


def plain(network: Feedforward, params: Params, x: Array) -> Array:
    """The output spikes of the same network, all layers step by step."""
    neuron = cast(LIF, network.neuron)
    weights = [synapses["Dense_0"]["kernel"] for synapses in params["synapses"]]

    def step(states, spikes):
        after = []
        for state, w in zip(states, weights, strict=True):
            state, excess = neuron.integrate(state, spikes @ w, jnp.zeros(()), 1.0, ())
            spikes = surrogates.spike(excess, network.surrogate)
            after.append(neuron.fire(state, spikes))
        return after, spikes

    states = [neuron.init((x.shape[1], w.shape[1])) for w in weights]
    return jax.lax.scan(step, states, x)[1]


def a_pass(case: dict[str, Any]) -> tuple[Callable[[], int], dict[str, float]]:
    """One pass forwards and backwards, and what it holds meanwhile."""
    network = network_of(case)
    params = network.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (case["steps"], case["batch"], case["sizes"][0]))

    def total(params, network, x):
        if case["plain"]:
            return jnp.sum(plain(network, params, x))
        return jnp.sum(network.respond(params, x, len(x), 1.0).output)

    compiled = jax.jit(jax.value_and_grad(total)).lower(params, network, x).compile()

    def work() -> int:
        jax.block_until_ready(compiled(params, network, x))
        return 1

    spikes = float(compiled(params, network, x)[0]) / (case["steps"] * case["batch"])
    memory = cast(Any, compiled.memory_analysis())
    return work, {"output_spikes": spikes, "temp_mib": memory.temp_size_in_bytes / 2**20}


def updates(case: dict[str, Any]) -> tuple[Callable[[], int], dict[str, float]]:
    """Updates of a training."""
    network = network_of(case)
    rule = BPTT(loss="count_cross_entropy", optimiser=Optimiser(schedule="constant"))
    transformation = rule.optimiser.transformation(1)
    params = network.init(jax.random.key(0))
    state = params, transformation.init(cast(optax.Params, params))
    batches = [(jnp.asarray(x), jnp.asarray(labels)) for x, labels in clock.batches(case)]

    @jax.jit
    def update(network, state, x, labels):
        params, optimiser = state
        gradient, measured = rule.gradient(
            network, params, LabelledBatch(x=x, labels=labels, n_steps=case["steps"], dt=1.0)
        )
        changes, optimiser = transformation.update(gradient, optimiser, params)
        return (optax.apply_updates(params, changes), optimiser), measured

    losses, rates = [], []

    def work() -> int:
        nonlocal state
        for x, labels in batches:
            state, measured = update(network, state, x, labels)
            losses.append(measured.loss)
            rates.append(measured.rates)
        jax.block_until_ready(state)
        return len(batches)

    work()
    return work, {"loss": float(losses[0]), "output_spikes": float(rates[0][-1]), "hidden_spikes": float(rates[0][0])}


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    host.keep_memory()
    work, more = updates(case) if case["kind"] == "training" else a_pass(case)
    per_second = clock.rate(work, case["seconds"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    known = environment()
    clock.report(per_second=per_second, peak_gib=peak, version=known["jax"], **more, **known)


if __name__ == "__main__":
    main()
