"""Gradients of a small network are those of snnTorch, Norse and SpikingJelly, in float64.

tests/golden/surrogate.npz was written by tests/golden/make_surrogate.py. How their conventions are ours:

- snnTorch, reset "zero", delayed (its default): the reset of a spike comes at the start of the next step, before the
  leak, and is detached: hard reset, detach_reset.
- snnTorch, "zero" and "subtract" without delay: gradient goes through the reset: not detached.
- snnTorch, "subtract", delayed: the threshold is subtracted after the leak of the next step, not before it. That is a
  soft reset by threshold / decay, detached.
- Norse's LIF without synaptic current, integrated by Euler's method: v <- decay v + (1 - decay) I, which is LIF with
  (1 - decay) times the weights. Not detached.
- SpikingJelly's LIFNode whose input does not decay: LIF, for each reset, detached or not.
"""

import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jsnn.learners import BPTT
from jsnn.learners.losses import LOSSES
from jsnn.learners.optimiser import Optimiser
from jsnn.networks.feedforward import Feedforward, LabelledBatch
from jsnn.neurons import LIF
from jsnn.surrogates import ArcTan, FastSigmoid, Triangular

with np.load(Path(__file__).parent / "golden" / "surrogate.npz") as file:
    GOLDEN = dict(file)
DECAY = float(GOLDEN["decay"])
NUMBERS = {"v_rest": 0.0, "v_threshold": 1.0, "refractory": None}
HARD = LIF(tau_m=-1 / math.log(DECAY), v_reset=0.0, **NUMBERS)
SOFT = LIF(tau_m=-1 / math.log(DECAY), v_reset=0.0, reset="soft", **NUMBERS)
LATE = LIF(tau_m=-1 / math.log(DECAY), v_reset=1.0 - 1.0 / DECAY, reset="soft", **NUMBERS)
ARCTAN = ArcTan(width=2 / (math.pi * float(GOLDEN["atan_alpha"])), height=float(GOLDEN["atan_alpha"]) / 2)
FAST = FastSigmoid(width=1 / float(GOLDEN["fast_sigmoid_slope"]))
SUPER = FastSigmoid(width=1.0)  # Norse 1.1.0 has an alpha for it, and does not read it
CASES = {  # neuron, surrogate, detached
    **{
        f"snntorch_{name}_{reset}": (neuron, one, detached)
        for name, one in (
            ("atan", ARCTAN),
            ("fast_sigmoid", FAST),
        )
        for reset, neuron, detached in (
            ("zero_delayed", HARD, True),
            ("zero_at_once", HARD, False),
            ("subtract_delayed", LATE, True),
            ("subtract_at_once", SOFT, False),
        )
    },
    "norse_super_hard": (HARD, SUPER, False),
    "norse_super_soft": (SOFT, SUPER, False),
    "norse_triangle_hard": (HARD, Triangular(height=float(GOLDEN["triangle_alpha"])), False),
    "spikingjelly_hard": (HARD, ARCTAN, False),
    "spikingjelly_hard_detached": (HARD, ARCTAN, True),
    "spikingjelly_soft": (SOFT, ARCTAN, False),
    "spikingjelly_soft_detached": (SOFT, ARCTAN, True),
}


def network(neuron, one, detached):
    return Feedforward(architecture="5-3", input_shape=(6,), neuron=neuron, surrogate=one, detach_reset=detached)


def parameters():
    weights = [jnp.asarray(GOLDEN[name]) for name in ("w0", "w1")]
    return {"synapses": [{"Dense_0": {"kernel": w}} for w in weights], "neurons": [{}, {}]}


@jax.jit
@functools.partial(jax.value_and_grad, has_aux=True)
def differentiated(params, net, x, labels):
    output = net.respond(params, x, len(x), 1.0).output
    return LOSSES["count_cross_entropy"](output, labels), output


def weights_of(params):
    return [synapses["Dense_0"]["kernel"] for synapses in params["synapses"]]


def test_there_is_a_case_for_each_of_the_golden_ones():
    assert set(CASES) == {name.partition("/")[0] for name in GOLDEN if name.endswith("/dw0")}


@pytest.mark.parametrize("name", CASES)
def test_spikes_loss_and_gradients(name):
    with jax.enable_x64(True):
        x, labels = jnp.asarray(GOLDEN["x"]), jnp.asarray(GOLDEN["labels"])
        (value, output), gradient = differentiated(parameters(), network(*CASES[name]), x, labels)
    np.testing.assert_array_equal(output, GOLDEN[f"{name}/spikes1"])
    assert float(value) == pytest.approx(float(GOLDEN[f"{name}/loss"]), rel=1e-12)
    for i, got in enumerate(weights_of(gradient)):
        # the golden gradient is with respect to weights as the rival has them
        wanted = GOLDEN[f"{name}/dw{i}"] / (1 - DECAY if name.startswith("norse") else 1.0)
        assert np.abs(wanted).max() > 1e-3
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


def test_hidden_spikes_are_counted():
    """How many there are in the hidden layer, of each sample."""
    neuron, one, detached = CASES["snntorch_atan_zero_delayed"]
    with jax.enable_x64(True):
        x = jnp.asarray(GOLDEN["x"])
        spikes = network(neuron, one, detached).respond(parameters(), x, len(x), 1.0).spikes
    np.testing.assert_array_equal(spikes[0], GOLDEN["snntorch_atan_zero_delayed/spikes0"].sum(axis=(0, 2)))
    np.testing.assert_array_equal(spikes[1], GOLDEN["snntorch_atan_zero_delayed/spikes1"].sum(axis=(0, 2)))


def test_the_loss_of_each_step():
    output = jnp.asarray(GOLDEN["snntorch_atan_zero_delayed/spikes1"], float)
    loss = LOSSES["stepwise_cross_entropy"](output, jnp.asarray(GOLDEN["labels"], jnp.int32))
    assert float(loss) == pytest.approx(GOLDEN["snntorch_stepwise/loss"].item(), rel=1e-6)


def test_a_training_by_adam_takes_the_same_path():
    neuron, one, detached = CASES["snntorch_atan_zero_delayed"]
    wanted = GOLDEN["snntorch_training/losses"]
    with jax.enable_x64(True):
        optimiser = Optimiser(learning_rate=float(GOLDEN["snntorch_training/learning_rate"]), schedule="constant")
        rule = BPTT(loss="count_cross_entropy", optimiser=optimiser)
        transformation = rule.optimiser.transformation(len(wanted))
        net, x, labels = network(neuron, one, detached), jnp.asarray(GOLDEN["x"]), jnp.asarray(GOLDEN["labels"])

        @jax.jit
        def update(carry, _):
            params, state = carry
            gradient, measured = rule.gradient(net, params, LabelledBatch(x=x, labels=labels, n_steps=len(x), dt=1.0))
            updates, state = transformation.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), measured.loss

        start = parameters()
        (params, _), losses = jax.lax.scan(update, (start, transformation.init(start)), length=len(wanted))
    assert wanted[-1] < 0.5 * wanted[0]
    np.testing.assert_allclose(losses, wanted, rtol=1e-9)
    for i, w in enumerate(weights_of(params)):
        np.testing.assert_allclose(w, GOLDEN[f"snntorch_training/w{i}"], rtol=0, atol=1e-9)
