"""Spike-for-spike parity with BindsNET 0.3.4, from the golden trajectories in tests/golden (see its README)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.engines import dense
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.inhibition import DirectInhibition
from jsnn.networks.competitive import CompetitiveNetwork, Learned
from jsnn.neurons import IF, LIF
from jsnn.rules import RULES

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(p.stem for p in GOLDEN.glob("*__*.npz"))
NEURONS = {
    "if": IF(),
    "lif": LIF(),
    "adaptive_lif": LIF(adaptation=AdaptiveThreshold(theta_plus=0.05, tau_theta=1e7, clock="step")),
}


def bits(archive, key, n):
    return np.unpackbits(archive[key], axis=-1, count=n).astype(bool)


def test_every_combination_is_there():
    """Of what BindsNET has."""
    neurons, rules = NEURONS.keys() - {"euler_lif"}, ("stdp", "weight_dependent_stdp", "hebbian")
    small = {f"{n}__{r}__b{b}" for n in neurons for r in rules for b in (1, 4)}
    assert small | {"adaptive_lif__stdp__mnist_b4"} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_same_spikes_weights_and_thresholds(case):
    neuron, rule, batch = case.split("__")
    golden, inputs = np.load(GOLDEN / f"{case}.npz"), np.load(GOLDEN / f"inputs_{batch}.npz")
    n_input, n = int(inputs["n_in"]), int(golden["n"])
    rasters, spikes = bits(inputs, "raster", n_input), bits(golden, "spikes", n)
    network = CompetitiveNetwork(
        n_input=n_input,
        n_neurons=n,
        neuron=NEURONS[neuron],
        rule=RULES[rule],
        inhibition=DirectInhibition(strength=120.0),
        tie_break="first" if neuron == "adaptive_lif" else "none",
        ghosts=True,
        norm=0.1 * n_input,
        reduction="sum",
    )
    learned = Learned(weights=jnp.asarray(golden["w0"]), theta=jnp.zeros(n))
    present = jax.jit(dense.present)
    valid = jnp.ones(rasters.shape[2], bool)
    for p, raster in enumerate(rasters):
        learned, counts, recording = present(network, learned, jnp.asarray(raster), valid, 1.0, jax.random.key(0))
        differing = np.argwhere((np.asarray(recording.spikes) != spikes[p]).any(axis=(1, 2)))
        assert differing.size == 0, f"presentation {p}: first differing step {differing[0]}"
        np.testing.assert_array_equal(counts, spikes[p].sum(axis=0))
        np.testing.assert_allclose(learned.weights, golden["w"][p], rtol=0, atol=1e-5)
        np.testing.assert_allclose(recording.v[-1], golden["v_end"][p], rtol=1e-5, atol=1e-3)
        if "theta" in golden:
            np.testing.assert_allclose(learned.theta, golden["theta"][p], rtol=0, atol=1e-5)
