"""Spyx's side of experiments/benchmark.py: a layer, and a training, of its Linear (flax NNX) and LIF.

Time comes first, as `spyx.nn.run` has it. Tried are its idiom, a Sequential that is run step by step, and each Linear
over all steps at once before its LIF is run; the faster one is measured. Gradients go to the weights alone: the decay,
which is a parameter of its LIF too, is fixed.
"""
# pyright: reportMissingImports=false

import functools
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import clock
import jax
import jax.numpy as jnp
import optax
import spyx.axn
import spyx.nn
from flax import nnx


def responses(case: dict[str, Any]) -> tuple[list[nnx.Linear], dict[str, Callable[..., Any]]]:
    """The weights; and ways to the output spikes [n_steps, batch, n] of Linears and of x [n_steps or 1, batch, n]."""
    pairs = list(zip(case["sizes"][:-1], case["sizes"][1:], strict=True))
    linears = [nnx.Linear(a, b, use_bias=False, rngs=nnx.Rngs(i)) for i, (a, b) in enumerate(pairs)]
    neurons = [spyx.nn.LIF((b,), beta=case["decay"], activation=spyx.axn.arctan(), rngs=nnx.Rngs(0)) for _, b in pairs]

    def stepwise(linears, x):
        layers = [layer for pair in zip(linears, neurons, strict=True) for layer in pair]
        if case["constant"]:
            x = jnp.broadcast_to(layers.pop(0)(x), (case["steps"], *x.shape[1:-1], case["sizes"][1]))
        return spyx.nn.run(spyx.nn.Sequential(*layers), x)[0]

    def layerwise(linears, x):
        for linear, lif in zip(linears, neurons, strict=True):
            x = linear(x)
            if len(x) == 1:
                x = jnp.broadcast_to(x, (case["steps"], *x.shape[1:]))
            x = spyx.nn.run(lif, x)[0]
        return x

    return linears, {"step by step": stepwise, "layer by layer": layerwise}


def a_pass(case: dict[str, Any], respond: Callable[..., Any], weights: Any, merge: Callable[..., Any]) -> Any:
    """One pass forwards and backwards."""
    x = jax.random.normal(jax.random.key(1), (case["steps"], case["batch"], case["sizes"][0]))
    differentiated = jax.jit(jax.value_and_grad(lambda weights, x: jnp.sum(respond(merge(weights), x))))

    def work() -> int:
        jax.block_until_ready(differentiated(weights, x))
        return 1

    return work, lambda: {"output_spikes": float(differentiated(weights, x)[0]) / (case["steps"] * case["batch"])}


def updates(case: dict[str, Any], respond: Callable[..., Any], weights: Any, merge: Callable[..., Any]) -> Any:
    """Updates of a training."""
    adam = optax.adam(1e-3)
    state = weights, adam.init(weights)
    batches = [(jnp.asarray(x), jnp.asarray(labels)) for x, labels in clock.batches(case)]

    def loss(weights, x, labels):
        counts = jnp.sum(respond(merge(weights), x), axis=0)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(counts, labels)), jnp.sum(counts) / len(counts)

    @jax.jit
    def update(state, x, labels):
        weights, optimiser = state
        measured, gradient = jax.value_and_grad(loss, has_aux=True)(weights, x, labels)
        changes, optimiser = adam.update(gradient, optimiser)
        return (optax.apply_updates(weights, changes), optimiser), measured

    seen = []

    def work() -> int:
        nonlocal state
        for x, labels in batches:
            state, measured = update(state, x, labels)
            seen.append(measured)
        jax.block_until_ready(state)
        return len(batches)

    return work, lambda: {"loss": float(seen[0][0]), "output_spikes": float(seen[0][1])}


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    linears, ways = responses(case)
    split = [nnx.split(linear) for linear in linears]
    weights = [state for _, state in split]

    def merge(weights):
        return [nnx.merge(graph, state) for (graph, _), state in zip(split, weights, strict=True)]

    make = updates if case["kind"] == "training" else a_pass
    made = {name: make(case, respond, weights, merge) for name, respond in ways.items()}
    for work, _ in made.values():
        work()
    seconds = dict.fromkeys(made, float("inf"))
    for _ in range(3):
        for name, (work, _) in made.items():
            seconds[name] = min(seconds[name], clock.timed(work))
    best = min(made, key=lambda name: seconds[name])
    work, more = made[best]
    per_second = clock.rate(functools.partial(work), case["seconds"])
    clock.report(per_second=per_second, version=version("spyx"), stepper=best, **more())


if __name__ == "__main__":
    main()
