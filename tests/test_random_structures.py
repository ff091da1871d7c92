"""Networks of random structure, each by an engine that does not refuse it: it is the dense engine, in float64.

What is drawn: neuron, reset, refractory period, adaptation, rule, traces, inhibition, synapses, tie-break, winners,
ghosts, delays, scaling, normalisation, batches. Presentations start from weights on both sides of their bounds, and in
many networks neurons fire in the first step, before anything has arrived.

    python -m pytest -n 0 tests/test_random_structures.py      500 structures
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import assert_same, with_numbers

from jsnn.core.trace import Trace
from jsnn.encoders import Poisson
from jsnn.engines import ahead, event, sparse
from jsnn.engines.ahead import Ahead
from jsnn.engines.batch import Batch
from jsnn.engines.dense import Dense
from jsnn.engines.event import Event
from jsnn.engines.frozen import frozen
from jsnn.engines.sparse import Sparse
from jsnn.engines.stimulus import Inputs
from jsnn.grid import groups
from jsnn.grid.groups import Trial
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.homeostasis.synaptic_scaling import SynapticScaling
from jsnn.inhibition import INHIBITIONS, DirectInhibition, InhibitoryLayer
from jsnn.learners import Plasticity
from jsnn.learners.plasticity import plans
from jsnn.networks.competitive import CompetitiveNetwork, Inference, Learned
from jsnn.neurons import IF, LIF, SRM0, EulerLIF
from jsnn.rules import RULES
from jsnn.synapses import Conductance, Delta

N_INPUT, N, T, PRESENTATIONS = 12, 5, 12, 2
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}  # to compile, not to run


def neuron_of(rng, between):
    """A neuron; half of them fire before anything has arrived."""
    threshold = between(-54, -50)
    clock = rng.choice(["presentation", "step", "none"])
    kind = (LIF, IF, SRM0, EulerLIF)[rng.integers(4)]
    start = between(threshold - 1, threshold + 3) if rng.random() < 0.5 else between(-68, -62)
    numbers = {
        "v_threshold": threshold,
        "v_reset": between(-66, -60),
        "v_rest": start,
        "v_init": start,
        "v_floor": float(rng.choice([-np.inf, -70.0])) if kind is not EulerLIF else -80.0,
        "refractory": [None, 0.0, 1.0, 2.5][rng.integers(4)],
        "reset": str(rng.choice(["hard", "soft"])),
        "tau_m": between(8, 60),
        "rho_0": between(0.2, 5),
        "fires_in_refractory": bool(rng.integers(2)),
        "adaptation": None
        if clock == "none"
        else AdaptiveThreshold(theta_plus=between(0.2, 1), tau_theta=between(50, 400), clock=str(clock)),
    }
    return with_numbers(kind(), **numbers)


def rule_of(rng, between):
    """A rule whose bounds are met."""
    numbers = {
        "eta_pre": between(0.005, 0.05),
        "eta_post": between(0.01, 0.1),
        "w_min": 0.05,
        "w_max": 0.9,
        "pre_trace": Trace(tau=between(2, 15), additive=bool(rng.integers(2))),
        "post_trace": Trace(tau=between(2, 15), additive=bool(rng.integers(2))),
        "slow_trace": Trace(tau=between(4, 30), additive=bool(rng.integers(2))),
    }
    rule = list(RULES.values())[rng.integers(len(RULES))]
    return with_numbers(rule, **{k: v for k, v in numbers.items() if getattr(rule, k, None) is not None})


def inhibition_of(rng, between):
    """Direct, or through a layer; one layer in six is never silent."""
    layer_neuron = [
        LIF(tau_m=between(5, 20), v_rest=-60.0, v_reset=-62.0, v_threshold=-45.0, refractory=2.0),
        IF(v_threshold=-45.0, v_reset=-60.0, refractory=1.0, reset="soft"),
    ][rng.integers(2)]
    which = rng.integers(6)
    if which == 0:
        layer_neuron = LIF(tau_m=10.0, v_rest=-40.0, v_reset=-50.0, v_threshold=-45.0, refractory=2.0)
    if which in (1, 2):
        return DirectInhibition(strength=between(1, 30))
    if which == 3:
        return dataclasses.replace(INHIBITIONS["conductance_layer"], strength=between(1, 10))
    return InhibitoryLayer(neuron=layer_neuron, excitation=between(10, 25), strength=between(1, 30))


def draw(seed):
    """A network, and what it has learned so far."""
    rng = np.random.default_rng(seed)

    def between(low, high):
        return float(rng.uniform(low, high))

    neuron = neuron_of(rng, between)
    conducts = isinstance(neuron, EulerLIF) and rng.random() < 0.6
    pulse = float(neuron.tau_m) if isinstance(neuron, EulerLIF) and not conducts else 1.0  # it lasts one step
    batch = int(rng.choice([1, 1, 3]))
    tie_break = str(rng.choice(["none", "first", "random", "furthest"]))
    network = CompetitiveNetwork(
        n_input=N_INPUT,
        n_neurons=N,
        neuron=neuron,
        rule=rule_of(rng, between),
        synapse=Conductance(tau_excitatory=2.0, tau_inhibitory=3.0, e_inhibitory=-80.0) if conducts else Delta(),
        inhibition=inhibition_of(rng, between),
        tie_break=tie_break,
        n_winners=int(rng.integers(1, 4)),
        ghosts=bool(rng.integers(2)),
        longest_delay=int(rng.choice([0, 0, 3])),
        gain=between(1, 4) * pulse,
        norm=[None, between(3, 12)][rng.integers(2)],
        norm_order=int(rng.integers(1, 3)),
        scaling=SynapticScaling(target=between(0.5, 5), eta=between(0.01, 0.05)) if rng.integers(2) else None,
        answer=Inference(gain=between(0.8, 1.5), competition=between(0.3, 1)),
        reduction=str(rng.choice(["sum", "mean", "max", "mean_fired"])),
        lockstep=False,  # in lockstep there is the dense engine only
    )
    learned = Learned(
        weights=jnp.asarray(rng.uniform(*[(-0.3, 1.6), (0.05, 0.9)][rng.integers(2)], (N_INPUT, N))),
        theta=jnp.asarray(rng.uniform(0, 1, N)),  # all different: no exact ties
        scale=None if network.scaling is None else jnp.asarray(rng.uniform(0.8, 1.2, N)),
        delay=network.init(jax.random.key(seed)).delay,
    )
    rasters = rng.random((PRESENTATIONS, batch, T, N_INPUT)) < rng.uniform(0.05, 0.5, N_INPUT)
    valid = np.arange(batch) != 1
    return network, learned, rasters, valid, rng


def batch_of(rasters, rng):
    """The spikes of a batch, of the inputs that are active: as engines are given them."""
    batch = len(rasters)
    active = np.sort(np.array([rng.permutation(N_INPUT)[: N_INPUT - 3] for _ in range(batch)]))
    active = np.pad(active, ((0, 0), (0, 2)), constant_values=N_INPUT).astype(np.int32)
    padded = np.pad(rasters, ((0, 0), (0, 0), (0, 1)))
    return np.take_along_axis(padded, active[:, None], axis=2), active


def engines_of(network, batch, rng):
    """Dense and another that can train a network; and, now and then, one by which frozen networks answer."""
    capacity = int(rng.choice([1, 2, N]))
    others = {}
    if event.refusal(network) is None:
        others["event"] = Event(capacity=capacity, segment=[None, 3, 4][rng.integers(3)])
    if ahead.refusal(network) is None:
        others["ahead"] = Ahead(capacity=capacity)
    if sparse.refusal(network) is None:
        others["sparse"] = Sparse()
    if batch > 1:
        others = {name: Batch(engine) for name, engine in others.items()}
    elif network.reduction != "max":  # which, of one, is the change itself: but a change that is lost in rounding
        name = str(rng.choice(["dense", *others]))
        others[f"a batch of one by {name}"] = Batch(({"dense": Dense()} | others)[name])
    chosen = str(rng.choice(sorted(others))) if others else "dense"
    answering = [None, None, ("ahead", Ahead(capacity=capacity))][rng.integers(3)]
    if answering and event.refusal(frozen(network)) is None and rng.integers(2):
        answering = "event", Event(capacity=capacity, segment=4)
    return Dense() if batch == 1 else Batch(Dense()), (chosen, others.get(chosen)), answering


def trained(engine, network, learned, shown, valid):
    """What an engine makes of batches in a row: what was learned, and all counts."""

    def present(carry, batch):
        learned, engine_state, counts = engine.present(network, *carry, *batch[:2], valid, 1.0, batch[2])
        return (learned, engine_state), counts

    (learned, _), counts = jax.lax.scan(present, (learned, engine.start(network, learned)), shown)
    return learned, counts


def compiled(f, *arguments):
    """f(*arguments), by a program that is compiled in little time."""
    return jax.jit(f).lower(*arguments).compile(compiler_options=QUICK)(*arguments)


def compare(seed):
    """One structure by its engines: how often it fired, and which they were."""
    network, learned, rasters, valid, rng = draw(seed)
    keys = jax.random.split(jax.random.key(seed), (PRESENTATIONS, len(valid)))
    shown = *(np.stack(x) for x in zip(*[batch_of(r, rng) for r in rasters], strict=True)), keys
    definition, (name, engine), answering = engines_of(network, len(valid), rng)
    arguments = network, learned, shown, valid
    want, counts = compiled(functools.partial(trained, definition), *arguments)
    if engine is not None:
        got, n = compiled(functools.partial(trained, engine), *arguments)
        np.testing.assert_array_equal(n, counts, err_msg=f"structure {seed}: {name}")
        try:
            assert_same(got, want, 1e-10)
        except AssertionError as error:
            raise AssertionError(f"structure {seed}: {name}: {error}") from None
    if answering is None:
        return int(np.sum(counts)), {name}

    def both(*arguments):
        return Dense().infer(*arguments), answering[1].infer(*arguments)

    right, other = compiled(both, network.for_inference(), learned, shown[0][0], shown[1][0], 1.0, keys[0])
    np.testing.assert_array_equal(other, right, err_msg=f"structure {seed}: {answering[0]} answers")
    return int(np.sum(counts)), {name, f"{answering[0]} answers"}


def test_some_structures_by_some_engine():
    with jax.enable_x64(True):
        seen = [compare(seed) for seed in range(3)]
    assert sum(n for n, _ in seen) > 10


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize("first", range(0, 500, 50))
def test_structures_by_some_engine(first):
    with jax.enable_x64(True):
        seen = [compare(seed) for seed in range(first, first + 50)]
    assert sum(n for n, _ in seen) > 500
    assert {"event", "ahead", "sparse"} <= {name for _, names in seen for name in names}


@pytest.mark.parametrize("engine", [Event(capacity=N), Ahead(capacity=N), Sparse(), Batch(Event(capacity=N))], ids=str)
def test_a_spike_of_the_first_step_finds_weights_outside_their_bounds(engine):
    """The rule sees them as the normalisation left them: at inputs that fire, and at those that are silent."""
    network = CompetitiveNetwork(
        n_input=N_INPUT,
        n_neurons=N,
        neuron=LIF(v_rest=-52.3, refractory=2.0),  # over the lower thresholds, without any input
        rule=with_numbers(RULES["exponential"], w_min=0.0, w_max=1.0, eta_post=0.1),
        inhibition=DirectInhibition(strength=2.0),
        tie_break="none",
        norm=None,
    )
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        learned = network.init(jax.random.key(0))
        theta = jnp.array([-1.0, 2.0, -0.5, 3.0, 4.0])  # two of them fire
        weights = jnp.asarray(rng.uniform(0.5, 2.0, (N_INPUT, N)))
        learned = dataclasses.replace(learned, weights=weights, theta=theta)
        spikes, active = batch_of(rng.random((1, T, N_INPUT)) < 0.3, rng)
        shown = spikes[None], active[None], jax.random.split(jax.random.key(0), (1, 1))
        arguments = network, learned, shown, np.ones(1, bool)
        want, counts = compiled(functools.partial(trained, Dense()), *arguments)
        got, n = compiled(functools.partial(trained, engine), *arguments)
        np.testing.assert_array_equal(n, counts)
        assert_same(got, want, 1e-12)
        rule, silent = network.rule, np.setdiff1d(np.arange(N_INPUT), active)
        w = np.asarray(weights)[silent, 0]  # by hand: what the neuron's spikes do to these
        assert w.max() > 1.2 and counts[0, 0, 0] > 0
        for _ in range(int(counts[0, 0, 0])):
            w = np.clip(w - rule.eta_post * rule.x_tar * np.exp(-rule.beta * (rule.w_max - w)), 0.0, 1.0)
        np.testing.assert_allclose(np.asarray(want.weights)[silent, 0], w, rtol=1e-12)


def test_an_inhibitory_layer_that_is_never_silent_is_refused():
    """Engines take one silent neuron for all: where it is inhibited, they would count too few."""
    inhibits_without_spikes = InhibitoryLayer(neuron=LIF(v_rest=-30.0, v_threshold=-40.0, v_reset=-45.0))
    network = CompetitiveNetwork(neuron=LIF(), rule=RULES["stdp"], inhibition=inhibits_without_spikes)
    for engine in (event, ahead):
        assert "inhibits although no neuron has fired" in engine.refusal(network)
    quiet = dataclasses.replace(network, inhibition=InhibitoryLayer())
    cell = groups.Cell(
        trials=groups.stack(
            [Trial(inputs=Inputs(encoder=Poisson()), network=n, learner=Plasticity()) for n in (quiet, network)]
        ),
        index=(0, 1),
    )
    assert plans.refusals(cell).keys() == {"event", "ahead"}, "a trial that is not the first was not looked at"
