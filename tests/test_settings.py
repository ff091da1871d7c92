"""No setting without effect: every number and every mode of a trial, turned, changes some result or is refused."""

import dataclasses
import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.core.errors import InputError
from jsnn.core.pytree import static_fields
from jsnn.core.trace import Trace
from jsnn.encoders import Bernoulli, BindsnetBernoulli, BindsnetPoisson, BindsnetRankOrder, Poisson, RankOrder
from jsnn.engines import stimulus
from jsnn.engines.stimulus import Inputs, Repeat
from jsnn.grid import groups
from jsnn.grid.groups import Cell, Trial, Way
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.homeostasis.synaptic_scaling import SynapticScaling
from jsnn.inhibition import INHIBITIONS, DirectInhibition, InhibitoryLayer
from jsnn.learners import Plasticity
from jsnn.learners.plasticity import plans, trial
from jsnn.networks.competitive import CompetitiveNetwork, Inference
from jsnn.neurons import IF, LIF, SRM0, EulerLIF
from jsnn.rules import Exponential, PreAndPost, Triplet, WeightDependentSTDP
from jsnn.runs import config
from jsnn.synapses import Conductance

# ---------------------------------------------------------------- local plasticity

N_IMAGES, N_PIXELS, N = 6, 14, 5
IMAGES = np.random.default_rng(0).integers(40, 256, (N_IMAGES, N_PIXELS)).astype(np.uint8)
SMALL = {"n_input": N_PIXELS, "n_neurons": N}
PLASTIC = {
    "layer, scaling, images again": Trial(
        inputs=Inputs(encoder=Poisson(intensity=150.0), n_steps=40, again=Repeat(min_spikes=22.0, at_most=2)),
        network=CompetitiveNetwork(
            **SMALL,
            neuron=LIF(
                tau_m=20.0,
                v_floor=-70.0,
                refractory=1.0,
                adaptation=AdaptiveThreshold(theta_0=0.5, theta_plus=0.5, tau_theta=900.0),
            ),
            rule=WeightDependentSTDP(eta_pre=0.02, eta_post=0.1, w_min=0.1, w_max=0.85),
            inhibition=InhibitoryLayer(excitation=14.0, strength=6.0),
            w_init=0.8,
            gain=7.0,
            norm=None,
            scaling=SynapticScaling(target=0.5, eta=0.02, settle=20.0),
            answer=Inference(gain=1.2, competition=0.7),
            tie_break="random",
            longest_delay=2,
        ),
        learner=Plasticity(),
    ),
    "escape noise, norm": Trial(
        inputs=Inputs(encoder=Bernoulli(max_probability=0.4), n_steps=30, rest=5),
        network=CompetitiveNetwork(
            **SMALL,
            neuron=SRM0(v_floor=-68.0, delta=2.0, refractory=3.0, adaptation=AdaptiveThreshold(theta_plus=0.5)),
            rule=Triplet(eta_pre=0.02, eta_post=0.1, w_min=0.1, w_max=0.9),
            inhibition=DirectInhibition(strength=8.0),
            gain=4.0,
            norm=9.0,
        ),
        learner=Plasticity(),
    ),
    "conductances": Trial(
        inputs=Inputs(encoder=BindsnetPoisson(intensity=300.0), n_steps=60, dt=0.5),
        network=CompetitiveNetwork(
            **SMALL,
            neuron=EulerLIF(
                v_floor=-66.0, tau_m=20.0, refractory=1.0, adaptation=AdaptiveThreshold(theta_0=20.5, clock="step")
            ),
            synapse=Conductance(),
            rule=Exponential(w_min=0.2),
            inhibition=dataclasses.replace(INHIBITIONS["conductance_layer"], excitation=5.0, strength=4.0),
            norm=5.0,
            norm_order=2,
            norm_at_start=False,
        ),
        learner=Plasticity(),
    ),
    "a batch in lockstep": Trial(
        inputs=Inputs(encoder=Poisson(intensity=150.0), n_steps=40, batch_size=2),
        network=CompetitiveNetwork(
            **SMALL,
            neuron=IF(v_floor=-62.0, v_init=-59.0, reset="soft", refractory=2.0),
            rule=PreAndPost(eta_pre=0.02, eta_post=0.1, w_min=0.1, w_max=0.8),
            inhibition=InhibitoryLayer(neuron=IF(v_init=-61.0), strength=9.0, excitation=7.0),
            gain=3.0,
            norm=8.0,
            tie_break="furthest",
            ghosts=True,
            n_winners=2,
        ),
        learner=Plasticity(),
    ),
}


@functools.partial(jax.jit, static_argnums=2)
def results(of, images, engine):
    """What a short training leaves, and what the frozen network then answers."""
    batch = of.inputs.batch_size
    index = jnp.arange(N_IMAGES, dtype=jnp.int32).reshape(-1, batch)
    learned = trial.init(of)
    rasters = stimulus.encode(of.inputs, stimulus.TRAIN, images, index, index, N_PIXELS)
    learned, counts = trial.train(of, learned, rasters, index, index, 0, jnp.array(len(index)), engine)
    answers = trial.respond(of, learned, rasters, stimulus.TEST, index, plans.DENSE)
    return learned, counts, answers, rasters.spikes


def outcome(of):
    """The numbers of `results`, as one list of arrays."""
    stacked = Cell(trials=groups.stack([of]), index=(0,))
    engine = plans.engine_of(Way("dense"), stacked.trials)
    return [np.asarray(x) for x in jax.tree.leaves(results(of, IMAGES, engine))]


def different(a, b):
    """Whether results differ, be it in shape."""
    return any(x.shape != y.shape or (x != y).any() for x, y in zip(a, b, strict=False)) or len(a) != len(b)


def turned(value):
    """Other values of a number, of which one should do something."""
    if np.isinf(value):
        return [-61.0] if value < 0 else [5.0]
    if value == 0:
        return [5.0]
    return [value * 1.25 + 0.05, value * 0.8 - 0.05 if value < 0 else value * 0.6]


def nodes(of, path=()):
    """All nodes of a trial, and where they are."""
    if dataclasses.is_dataclass(of):
        yield path, of
        for field in dataclasses.fields(of):
            yield from nodes(getattr(of, field.name), (*path, field.name))


def replaced(of, path, **changes):
    """A trial with fields of the node at `path` changed."""
    if not path:
        return dataclasses.replace(of, **changes)
    return dataclasses.replace(of, **{path[0]: replaced(getattr(of, path[0]), path[1:], **changes)})


def modes(node, name):
    """Other values of a mode."""
    value, hint = getattr(node, name), typing.get_type_hints(type(node), include_extras=True)[name]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    return [other for other in typing.get_args(hint) if other != value]


def does_something(before, changed):
    """Whether a changed trial is refused, or has other results."""
    try:
        changed.learner.check(changed, "trial")
    except InputError:
        return True
    return different(before, outcome(changed))


def without_effect(of, settings):
    """The settings, (path of a node, field, other values), of a trial that change nothing."""
    of.learner.check(of, "trial")
    before = outcome(of)
    return [
        ".".join((*path, name))
        for path, name, values in settings
        if not any(does_something(before, replaced(of, path, **{name: value})) for value in values)
    ]


def numbers_of(of):
    for path, node in nodes(of):
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            if isinstance(value, float) and field.name not in static_fields(node):
                yield path, field.name, turned(value)


def modes_of(of):
    for path, node in nodes(of):
        for name in sorted(static_fields(node)):
            if name not in ("n_input", "batch_size"):  # of the data; divides the images here
                yield path, name, modes(node, name)


slow_but_first = [pytest.param(name, marks=[pytest.mark.slow] * (i > 0)) for i, name in enumerate(PLASTIC)]


@pytest.mark.parametrize("name", slow_but_first)
def test_every_number_of_a_plastic_trial_does_something(name):
    assert without_effect(PLASTIC[name], list(numbers_of(PLASTIC[name]))) == []


@pytest.mark.slow
def test_every_mode_does_something_in_some_plastic_trial():
    """Not in each of them: a batch of one is the same by any reduction, and seldom do two neurons cross at once."""
    lost, works = set(), set()
    for of in PLASTIC.values():
        settings = [s for s in modes_of(of) if ".".join((*s[0], s[1])) not in works]
        nothing = set(without_effect(of, settings))
        works |= {".".join((*path, name)) for path, name, _ in settings} - nothing
        lost |= nothing
    assert lost <= works


def refused(message, **network):
    """A plastic trial with these fields of its network is refused, in one line."""
    of = Trial(
        inputs=Inputs(encoder=Poisson(), dt=0.5),
        network=CompetitiveNetwork(**{"neuron": LIF(), "rule": Triplet(), **network}),
        learner=Plasticity(),
    )
    with pytest.raises(InputError, match=message) as error:
        of.learner.check(of, "trial")
    assert "\n" not in str(error.value)


def test_what_an_inhibitory_layer_does_not_compute_is_refused():
    def layer(**parts):
        return InhibitoryLayer(**parts)

    fixed = {"v_rest": -60.0, "v_reset": -45.0, "v_threshold": -40.0}
    refused("inhibitory neurons have fixed thresholds", inhibition=layer(neuron=LIF(adaptation=AdaptiveThreshold())))
    refused("inhibitory neurons have fixed thresholds", inhibition=layer(neuron=EulerLIF()))
    refused("neuron is SRM0: inhibitory neurons spike and have no noise", inhibition=layer(neuron=SRM0()))
    refused("neuron is ReLU: inhibitory", inhibition=layer(neuron=config.REGISTRIES["neuron"]["relu"]))
    refused("neuron.v_floor has no effect", inhibition=layer(neuron=LIF(v_floor=-70.0, **fixed)))
    for name in ("if", "lif", "unit_if", "unit_lif"):  # some of them have only potentials of 0
        inhibitory = layer(neuron=config.REGISTRIES["neuron"][name])
        fine = CompetitiveNetwork(neuron=LIF(), rule=Triplet(), inhibition=inhibitory)
        Plasticity().check(Trial(inputs=Inputs(encoder=Poisson()), network=fine, learner=Plasticity()), "trial")
    euler = EulerLIF(tau_m=10.0, adaptation=None, **fixed)
    for idle in ({"tau_inhibitory": 5.0}, {"e_inhibitory": -80.0}):
        refused("inhibitory has no effect", inhibition=layer(neuron=euler, synapse=Conductance(**idle)))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("n_winners", {"n_winners": 2, "tie_break": "none"}),
        ("ghosts", {"ghosts": True, "tie_break": "none"}),
        ("norm_order", {"norm_order": 2, "norm": None}),
        ("norm_at_start", {"norm_at_start": False, "norm": None}),
        ("fires_in_refractory", {"neuron": SRM0(fires_in_refractory=True, refractory=None)}),
    ],
)
def test_a_setting_without_effect_is_refused(name, fields):
    refused(f"{name} has no effect with .*; leave it out", **fields)


def test_every_key_of_run_is_used():
    """By all trials, by local plasticity alone (its schedule and read-out), or by nothing but time and disk."""
    cost = {"engine", "grid", "checkpoint_seconds"}
    schedule = {"epochs", "curve_points", "test_passes", "readout"}
    assert {f.name for f in dataclasses.fields(config.RunConfig)} == {*config.SHOWN} | cost | schedule


def test_additive_traces_are_numbers_of_their_own():
    """A trace is a node: its time constant and its kind are found."""
    of = PLASTIC["escape noise, norm"]
    found = {".".join((*path, name)) for path, name, _ in numbers_of(of)}
    assert {"network.rule.slow_trace.tau", "network.neuron.adaptation.theta_plus"} <= found
    assert isinstance(of.network.rule.slow_trace, Trace)


@pytest.mark.parametrize(
    ("encoder", "why"),
    [
        (RankOrder(), "RankOrder makes no more spikes of a brighter image: it sees no brightness"),
        (BindsnetRankOrder(), "it sees no brightness"),
        (BindsnetBernoulli(), "it sees no brightness"),
        (BindsnetPoisson(), "its pixels end at 255"),
        (Bernoulli(), "max_probability = 1.0: it should be less"),
    ],
)
def test_images_are_not_shown_again_where_brightness_does_not_count(encoder, why):
    network = CompetitiveNetwork(neuron=LIF(), rule=Triplet())

    def check(inputs):
        Plasticity().check(Trial(inputs=inputs, network=network, learner=Plasticity()), "trial")

    check(Inputs(encoder=encoder))
    with pytest.raises(InputError, match=f"run.again: .*{why}"):
        check(Inputs(encoder=encoder, again=Repeat()))
    for fine in (Poisson(), Bernoulli(max_probability=0.2)):
        check(Inputs(encoder=fine, again=Repeat()))


def test_euler_steps_are_shorter_than_time_constants():
    refused("neuron.tau_m = 0.4: it should be more than run.dt = 0.5", neuron=EulerLIF(tau_m=0.4))
    euler = EulerLIF(tau_m=0.5, v_rest=-60.0, v_reset=-60.0, v_threshold=-40.0, adaptation=None)
    refused("network.inhibition.neuron.tau_m = 0.5: it should be more", inhibition=InhibitoryLayer(neuron=euler))
