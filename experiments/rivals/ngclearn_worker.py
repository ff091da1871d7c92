"""ngc-learn's side of experiments/benchmark.py: the three-layer network of Diehl & Cook (2015) from its components.

Encoder, reset, all time steps and the normalisation of an image are one jitted function over ngc-learn's own compiled
methods, which is the fastest that it runs: its scan alone, with the rest called one by one, traces anew each time.
"""
# pyright: reportMissingImports=false, reportUnusedExpression=false

import sys
from importlib.metadata import version
from typing import Any

import clock

DT = 1.0  # ms


def build(case: dict[str, Any]) -> tuple[Any, ...]:
    """The network: its processes of a step and of a reset, its plastic synapses, excitatory neurons and encoder."""
    from jax import random
    from ngclearn.components.input_encoders.poissonCell import PoissonCell
    from ngclearn.components.neurons.spiking.LIFCell import LIFCell
    from ngclearn.components.other.varTrace import VarTrace
    from ngclearn.components.synapses.hebbian.traceSTDPSynapse import TraceSTDPSynapse
    from ngclearn.components.synapses.staticSynapse import StaticSynapse
    from ngclearn.utils import MethodProcess
    from ngclearn.utils.distribution_generator import DistributionGenerator as Weights
    from ngcsimlib.context import Context
    from ngcsimlib.operations import Summation

    n, key = case["n"], iter(random.split(random.PRNGKey(0), 16))
    with Context("three_layer"):
        pixels = PoissonCell("pixels", n_units=784, target_freq=case["intensity"], key=next(key))
        # tau_m / dt as the resistance: a current of 1 moves the membrane by 1 mV, as in jsnn.
        excitatory = LIFCell(
            "excitatory", n, tau_m=100.0, resist_m=100.0 / DT, thr=-52.0, v_rest=-65.0, v_reset=-60.0,
            tau_theta=case["tau_theta"], theta_plus=case["theta_plus"], refract_time=5.0, one_spike=True, key=next(key),
        )  # fmt: skip
        inhibitory = LIFCell(
            "inhibitory", n, tau_m=10.0, resist_m=10.0 / DT, thr=-40.0, v_rest=-60.0, v_reset=-45.0,
            tau_theta=0.0, refract_time=2.0, key=next(key),
        )  # fmt: skip
        plastic = TraceSTDPSynapse(
            "plastic", (784, n), A_plus=1e-2, A_minus=1e-4, weight_init=Weights.uniform(0.0, 0.3), key=next(key)
        )
        to_inhibitory = StaticSynapse(
            "to_inhibitory", (n, n), weight_init=Weights.constant(22.5, eye=True), key=next(key)
        )
        lateral = StaticSynapse(
            "lateral", (n, n), weight_init=Weights.constant(-case["inhibition"], hollow=True), key=next(key)
        )
        pre = VarTrace("pre", 784, tau_tr=20.0, a_delta=0.0, key=next(key))
        post = VarTrace("post", n, tau_tr=20.0, a_delta=0.0, key=next(key))

        pixels.outputs >> plastic.inputs
        pixels.outputs >> plastic.preSpike
        pixels.outputs >> pre.inputs
        pre.trace >> plastic.preTrace
        excitatory.s >> to_inhibitory.inputs
        excitatory.s >> plastic.postSpike
        excitatory.s >> post.inputs
        post.trace >> plastic.postTrace
        inhibitory.s >> lateral.inputs
        to_inhibitory.outputs >> inhibitory.j
        Summation(plastic.outputs, lateral.outputs) >> excitatory.j

        step, reset = MethodProcess("step"), MethodProcess("reset")
        for part in (plastic, to_inhibitory, lateral, pixels, excitatory, inhibitory, pre, post):
            step = step >> part.advance_state
        step = step >> plastic.evolve
        step.watch(pixels.outputs, excitatory.s)
        for part in (pixels, excitatory, inhibitory, pre, post, to_inhibitory, lateral):
            reset = reset >> part.reset
    return step, reset, plastic, excitatory, pixels


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    sys.argv[1:] = []  # ngc-learn reads the command line at its import
    import jax
    import jax.numpy as jnp
    import ngclearn  # noqa: F401
    from ngclearn.utils.model_utils import normalize_matrix
    from ngcsimlib.global_state import stateManager

    step, reset, plastic, excitatory, pixels = build(case)
    rows = jnp.array(step.pack_rows(case["steps"], t=lambda i: i * DT, dt=DT))
    weights, theta, inputs = (c.target for c in (plastic.weights, excitatory.thr_theta, pixels.inputs))

    @jax.jit
    def present(state, image):
        state, _ = reset.run.compiled(dict(state), [])
        state, (shown, fired) = jax.lax.scan(step.run.compiled, state | {inputs: image / 255.0}, rows)
        normalised = normalize_matrix(state[weights], 78.4, order=1, axis=0)
        return state | {weights: normalised}, jnp.stack([jnp.sum(shown), jnp.sum(fired)])

    state = {name: jnp.asarray(value) for name, value in stateManager.state.items()}
    start = clock.learned(case)
    if start is not None:
        state |= {weights: jnp.asarray(start["weights"]), theta: jnp.asarray(start["theta"])[None]}
    shown, counts = clock.images(case, 1), []

    def work() -> int:
        nonlocal state
        state, spikes = present(state, next(shown).astype("float32"))
        counts.append(jax.block_until_ready(spikes))
        return 1

    per_second = clock.rate(work, case["seconds"], warm_up=2)  # the types of the second image differ: compiled again
    input_spikes, output_spikes = (float(x) for x in jnp.mean(jnp.stack(counts), axis=0))
    clock.report(
        per_second=per_second, version=version("ngclearn"), input_spikes=input_spikes, output_spikes=output_spikes
    )


if __name__ == "__main__":
    main()
