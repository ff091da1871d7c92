"""The batch engine is what it says: presentations that learn on their own, then one change; and frozen networks answer
the same by every engine.
"""

import dataclasses
import functools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import N_INPUT, T, assert_same, in_float64, label, pairwise, random_case

from jsnn.core.protocols import Reduction
from jsnn.engines import dense, event
from jsnn.engines.batch import Batch, without_slow_homeostasis
from jsnn.engines.dense import Dense
from jsnn.engines.event import Event
from jsnn.engines.frozen import frozen
from jsnn.engines.sparse import Sparse
from jsnn.inhibition import DirectInhibition, InhibitoryLayer
from jsnn.networks.competitive import Learned
from jsnn.networks.winner_take_all import TieBreak
from jsnn.neurons import IF, LIF, SRM0
from jsnn.rules import RULES

FACTORS = {
    "neuron": (LIF, IF, SRM0),
    "clock": ("presentation", "step", None),
    "inhibition": (DirectInhibition, InhibitoryLayer),
    "tie_break": get_args(TieBreak),
    "ghosts": (False, True),
    "n_winners": (1, 2),
    "rule": tuple(RULES),
    "additive": (False, True),
    "norm_order": (1, 2, None),
    "scaling": (False, True),
    "reduction": get_args(Reduction),
    "online": (Event(capacity=6, segment=20), Event(capacity=2, segment=20), Sparse(), Dense()),
}
BATCH = 4
structures = pairwise(FACTORS)
some = structures[:3] + [pytest.param(choice, marks=pytest.mark.slow) for choice in structures[3:8]]


def network_of(choice, seed):
    """A network of this structure that has learned for a while, and a batch for it of which one place is empty."""
    network, learned, rasters, _ = random_case({"batch": BATCH, "full": True} | choice, seed)
    network = dataclasses.replace(network, lockstep=False, n_winners=choice["n_winners"])
    active = np.append(np.arange(N_INPUT), [N_INPUT] * 2).astype(np.int32)
    spikes = np.pad(rasters[0].swapaxes(0, 1), ((0, 0), (0, 0), (0, 2)))
    keys = jax.random.split(jax.random.key(seed), BATCH)
    return network, learned, spikes, np.tile(active, (BATCH, 1)), keys


def by_definition(network, learned, spikes, valid, keys):
    """Each presentation by the dense engine from the same weights, and their changes as the engine's head has them."""
    rule, adaptation = network.rule, network.neuron.adaptation
    w = np.clip(np.asarray(learned.weights), rule.w_min, rule.w_max)  # where changes are counted from
    changes, grown, counts = [], [], []
    still = np.asarray(learned.theta)
    if adaptation is not None and adaptation.clock == "step":
        still = still * np.exp(-1.0 / adaptation.tau_theta) ** T
    for raster, real, key in zip(spikes, valid, keys, strict=True):
        one = jnp.asarray(raster[:, None, :N_INPUT])
        after, n, _ = present(without_slow_homeostasis(network), learned, one, jnp.asarray([real]), 1.0, key)
        changes.append(np.asarray(after.weights) - w)
        grown.append(np.asarray(after.theta) - still)
        counts.append(np.asarray(n[0]))
    changes, counts = np.array(changes), np.array(counts)
    if network.reduction == "max":
        place = np.argmax(np.abs(changes), axis=0)
        total = np.take_along_axis(changes, place[None], axis=0)[0]
    else:
        divide = {"sum": 1, "mean": np.sum(valid), "mean_fired": np.maximum(np.sum(counts > 0, axis=0), 1)}
        total = np.sum(changes, axis=0) / divide[network.reduction]
    w = np.clip(w + total, rule.w_min, rule.w_max)
    if network.norm is not None:
        w = w * network.norm / np.linalg.norm(w, ord=network.norm_order, axis=0)
    theta = still + np.sum(grown, axis=0)
    if adaptation is not None and adaptation.clock == "presentation":
        theta = theta * np.exp(-np.sum(valid) * T / adaptation.tau_theta)
    scale = learned.scale
    if scale is not None:
        n_spikes = np.sum(counts, axis=0)
        scale = scale * np.exp(network.scaling.eta * (np.sum(valid) * network.scaling.target - n_spikes))
    return Learned(weights=w, theta=theta, scale=scale), counts


present = jax.jit(dense.present)
batched = functools.partial(jax.jit, static_argnums=0)(
    lambda engine, network, *rest: engine.present(network, rest[0], engine.start(network, rest[0]), *rest[1:])
)


@pytest.mark.parametrize("choice", some, ids=label)
def test_batch_is_its_definition_in_float64(choice):
    total = []

    @in_float64(4)
    def examples(seed):
        network, learned, spikes, active, keys = network_of(choice, seed)
        valid = np.array([True, True, False, True])
        want, counts = by_definition(network, learned, spikes, valid, keys)
        engine = Batch(choice["online"])
        after, _, n = batched(engine, network, learned, spikes, active, valid, 1.0, keys)
        np.testing.assert_array_equal(n, counts)
        assert_same(after, want)
        total.append(int(counts.sum()))

    examples()
    assert sum(total) > 20, "hardly a spike"


@pytest.mark.parametrize("choice", structures[8:10], ids=label)
def test_a_batch_of_one_is_online(choice):
    """Two presentations in a row, by the batch engine and by the engine it stands on."""
    for seed in range(3):
        with jax.enable_x64(True):
            network, learned, spikes, active, keys = network_of(choice, seed)
            network = dataclasses.replace(network, reduction="sum")
            engine, valid = choice["online"], np.ones(1, bool)
            both = learned, learned
            for b in range(2):
                shown = spikes[b : b + 1], active[:1], valid, 1.0, keys[b : b + 1]
                both = [batched(e, network, x, *shown)[0] for e, x in zip((engine, Batch(engine)), both, strict=True)]
                assert_same(*both)


answers = functools.partial(jax.jit, static_argnums=0)(lambda engine, *rest: engine.infer(*rest))


@pytest.mark.parametrize("choice", structures[10:12], ids=label)
@pytest.mark.parametrize("engine", [Event(capacity=6, segment=20), Event(capacity=1, segment=None)], ids=str)
def test_frozen_networks_answer_alike(choice, engine):
    """Whether the presentations fit the event engine or not."""
    total = 0
    for seed in range(3):
        with jax.enable_x64(True):
            network, learned, spikes, active, keys = network_of(choice, seed)
            assert event.refusal(frozen(network)) is None
            arguments = network, learned, spikes, active, 1.0, keys
            counts = np.asarray(answers(Dense(), *arguments))
            np.testing.assert_array_equal(answers(engine, *arguments), counts)
            total += counts.sum()
    assert total > 20
