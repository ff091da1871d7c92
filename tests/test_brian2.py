"""The published network of Diehl & Cook (2015) is what Brian2 makes of the same equations, spike for spike.

tests/golden/brian2.npz was written by Brian2 2.9.0 (see experiments/compare.py): five images, 20 neurons, float64.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.networks.competitive import Learned

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
import compare

GOLDEN = dict(np.load(Path(__file__).parent / "golden" / "brian2.npz"))


def simulated(name):
    """What jsnn makes of the golden inputs."""
    spikes = np.unpackbits(GOLDEN["spikes"], axis=2).astype(bool)
    learned = Learned(
        weights=jnp.asarray(GOLDEN["weights"], float),
        theta=jnp.asarray(GOLDEN["theta"], float),
        delay=jnp.asarray(GOLDEN["delay"]),
    )
    return compare.ours(compare.CASES[name], learned, spikes)


def of_brian2(name, steps):
    """Spikes of every step, and the membranes before every 20th."""
    fired = np.zeros((5, steps, 20), bool)
    fired[tuple(GOLDEN[f"{name}_fired"].T)] = True
    return fired, GOLDEN[f"{name}_v"]


def test_frozen_layer_spike_for_spike():
    """Nothing differs but the order of sums."""
    with jax.enable_x64(True):
        ours = simulated("frozen")
    fired, v = of_brian2("frozen", ours["v"].shape[1])
    assert 30 < fired.sum() and (np.sum(fired, axis=(1, 2)) > 0).all()
    np.testing.assert_array_equal(ours["spikes"], fired)
    after = ours["v"][:, compare.STRIDE - 1 : -1 : compare.STRIDE]  # what the next step starts with
    np.testing.assert_allclose(after, v[:, 1:], rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours["theta"], GOLDEN["frozen_theta"], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "in_weights"), [("power_law", 1e-9), ("triplet", 5e-4)])
def test_learning_layer_spike_for_spike(name, in_weights):
    """The same spikes; membranes are apart by what a spike brings that arrives in the step of a postsynaptic one, and
    weights by the depression in such a step, if the rule has it (see experiments/compare.py).
    """
    with jax.enable_x64(True):
        ours = simulated(name)
    fired, v = of_brian2(name, ours["v"].shape[1])
    np.testing.assert_array_equal(ours["spikes"], fired)
    after = ours["v"][:, compare.STRIDE - 1 : -1 : compare.STRIDE]
    np.testing.assert_allclose(after, v[:, 1:], rtol=0, atol=0.1)
    np.testing.assert_allclose(ours["theta"], GOLDEN[f"{name}_theta"], rtol=0, atol=1e-9)
    neuron = np.argmax(fired.sum(axis=(0, 1)))
    start = GOLDEN["weights"][:, neuron] * 78.0 / GOLDEN["weights"][:, neuron].sum()
    weights = GOLDEN[f"{name}_weights"]
    assert np.abs(weights[-1] - start).max() > 0.1, "hardly anything was learned"
    np.testing.assert_allclose(ours["weights"][:, :, neuron], weights, rtol=0, atol=in_weights)
