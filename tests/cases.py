"""Random networks for comparing engines: structures that meet pairwise, and numbers from a seed."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from jsnn.core.trace import Trace
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.homeostasis.synaptic_scaling import SynapticScaling
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.rules import RULES

N_INPUT, N, T = 30, 8, 60


def pairwise(factors, seed=0):
    """Combinations in which every value of every factor meets every value of every other one."""
    rng = np.random.default_rng(seed)
    pairs = {
        ((f, x), (g, y)) for (f, xs), (g, ys) in itertools.combinations(factors.items(), 2) for x in xs for y in ys
    }
    chosen = []
    while pairs:
        draws = [{f: xs[rng.integers(len(xs))] for f, xs in factors.items()} for _ in range(200)]
        covered = [set(itertools.combinations(draw.items(), 2)) & pairs for draw in draws]
        best = max(range(len(draws)), key=lambda i: len(covered[i]))
        chosen.append(draws[best])
        pairs -= covered[best]
    return chosen


def with_numbers(model, **numbers):
    """A model with those of the numbers that it has."""
    own = {field.name for field in dataclasses.fields(model)}
    return dataclasses.replace(model, **{field: value for field, value in numbers.items() if field in own})


def random_case(choice, seed):
    """A network with random numbers, what it has learned so far, and its first raster's `valid`."""
    rng = np.random.default_rng(seed)

    def between(low, high):
        return float(rng.uniform(low, high))

    clock = choice["clock"]
    numbers = {
        "v_threshold": between(-56, -50),
        "v_reset": between(-66, -60),
        "v_floor": float(rng.choice([-np.inf, -70.0])),
        "refractory": float(rng.choice([0.0, 2.0, 5.0])),
        "adaptation": clock and AdaptiveThreshold(theta_plus=between(0.2, 1), tau_theta=between(200, 900), clock=clock),
    }
    numbers |= {"tau_m": between(20, 100), "v_rest": between(-68, -62)}
    trace = {"additive": choice["additive"]}
    rule_numbers = {
        "eta_pre": between(0.005, 0.03),
        "eta_post": between(0.01, 0.06),
        "w_min": 0.05,
        "w_max": 0.9,
        "pre_trace": Trace(tau=between(5, 30), **trace),
        "post_trace": Trace(tau=between(5, 30), **trace),
    }
    rule = with_numbers(RULES[choice["rule"]], **rule_numbers)
    network = CompetitiveNetwork(
        n_input=N_INPUT,
        n_neurons=N,
        neuron=with_numbers(choice["neuron"](), **numbers),
        rule=rule,
        inhibition=choice["inhibition"](strength=between(3, 20)),
        tie_break=choice["tie_break"],
        ghosts=choice["ghosts"],
        w_init=0.8,
        gain=between(0.8, 1.25),
        norm=choice["norm_order"] and between(8, 14) / (1, 5)[choice["norm_order"] - 1],
        norm_order=choice["norm_order"] or 1,
        reduction=choice["reduction"],
    )
    learned = network.init(jax.random.key(seed))
    # thresholds that differ, even where they are fixed: no exact ties between neurons whose weights are all w_max
    learned = dataclasses.replace(learned, theta=jnp.asarray(rng.uniform(0, 1, N)))
    valid = np.ones(choice["batch"], bool)
    if not choice["full"]:
        valid[rng.integers(choice["batch"])] = choice["batch"] == 1
    rasters = rng.random((3, T, choice["batch"], N_INPUT)) < rng.uniform(0.1, 0.4, N_INPUT)
    if choice.get("scaling"):
        network = dataclasses.replace(network, scaling=SynapticScaling(target=between(0.5, 5), eta=between(0.01, 0.05)))
        learned = dataclasses.replace(learned, scale=jnp.asarray(rng.uniform(0.8, 1.2, N)))
    return network, learned, rasters, valid


def assert_same(learned, other, tolerance=1e-12):
    """Both have learned the same: weights to `tolerance`, thresholds and scales to this part of them."""
    np.testing.assert_allclose(learned.weights, other.weights, rtol=0, atol=tolerance)
    np.testing.assert_allclose(learned.theta, other.theta, rtol=tolerance, atol=tolerance)
    assert (learned.scale is None) == (other.scale is None)
    if learned.scale is not None:
        np.testing.assert_allclose(learned.scale, other.scale, rtol=tolerance)


def in_float64(n, *strategies):
    """Calls the test with `n` generated seeds (and what more strategies give), in float64."""

    def decorate(test):
        @settings(max_examples=n, phases=[Phase.generate])
        @given(st.tuples(st.integers(0, 10**6), *strategies))
        def examples(drawn):
            with jax.enable_x64(True):
                test(*drawn)

        return examples

    return decorate


def label(choice):
    return "-".join(getattr(value, "__name__", str(value)) for value in choice.values())
