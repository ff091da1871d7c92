"""What every encoder, synapse, neuron, rule and inhibition keeps, read off the registries: a new one is tested unasked.

The part that knows what a kind of model does is `exercise_*`: a short run that uses every method and gives arrays.
"""

import dataclasses
import functools
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.core.protocols import BoundedPotential
from jsnn.core.pytree import static_fields
from jsnn.encoders import ENCODERS
from jsnn.engines import plasticity
from jsnn.inhibition import INHIBITIONS
from jsnn.neurons import NEURONS, EulerLIF
from jsnn.rules import RULES
from jsnn.synapses import SYNAPSES

REGISTRIES = {
    "encoder": ENCODERS,
    "synapse": SYNAPSES,
    "neuron": NEURONS,
    "rule": RULES,
    "inhibition": INHIBITIONS,
}
MODELS = [
    pytest.param(kind, model, id=f"{kind}-{name}")
    for kind, registry in REGISTRIES.items()
    for name, model in registry.items()
]
every_model = pytest.mark.parametrize(("kind", "model"), MODELS)
every_encoder = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
every_synapse = pytest.mark.parametrize("synapse", SYNAPSES.values(), ids=SYNAPSES)
every_neuron = pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
every_inhibition = pytest.mark.parametrize("inhibition", INHIBITIONS.values(), ids=INHIBITIONS)

T, BATCH, N, DT = 40, 2, 12, 1.0
RNG = np.random.default_rng(0)
CURRENTS = np.float32(RNG.normal(4, 12, (T, BATCH, N)))
SPIKES = RNG.random((T, BATCH, N)) < 0.3, RNG.random((T, BATCH, N)) < 0.3
WEIGHTS = np.float32(RNG.uniform(-0.5, 1.5, (N, N)))
KEY = jax.random.key(0)
# Numbers of inhibitory neurons that say how they are inhibited, which they are not.
IDLE = (".synapse.tau_inhibitory", ".synapse.e_inhibitory", ".neuron.v_floor")


# ---------------------------------------------------------------- short runs


def exercise_encoder(encoder, key, scan):
    """Its raster of an image of many levels."""
    del scan
    return encoder.encode(key, jnp.linspace(0, 1, N), T, DT)


def exercise_synapse(synapse, key, scan):
    """Currents, their bounds and states under random arrivals, at potentials that move."""
    del key

    def step(state, inputs):
        v = -60.0 + inputs
        state, current = synapse.step(state, jnp.maximum(inputs, 0.0), jnp.minimum(inputs, 0.0), v, DT / 4)
        return state, (current, synapse.current_bound(state, v, DT / 4), state)

    return scan(step, synapse.init((BATCH, N)), CURRENTS)[1]


def exercise_neuron(neuron, key, scan):
    """Potentials, excesses and thresholds under random currents that fire it now and then."""

    def step(carry, inputs):
        state, theta = carry
        current, t = inputs
        if neuron.adaptation is not None:
            theta = neuron.adaptation.decay_step(theta, DT)
        state, excess = neuron.integrate(
            state, current, theta, DT, neuron.noise(jax.random.fold_in(key, t), current.shape)
        )
        state = neuron.fire(state, excess >= 0)
        if neuron.adaptation is not None:
            theta = theta + neuron.adaptation.theta_plus * jnp.sum(excess >= 0, axis=0)
        return (state, theta), (excess >= 0, state.v, theta)

    theta = jnp.zeros(N) if neuron.adaptation is None else neuron.adaptation.init(N)
    start, unit = (neuron.init((BATCH, N)), theta + 0.5), 60.0 if isinstance(neuron, EulerLIF) else 1.0
    *out, theta = scan(step, start, (unit * CURRENTS, np.arange(T)))[1]
    if neuron.adaptation is not None:
        theta = neuron.adaptation.decay_presentations(theta, jnp.float32(1e4), T * DT)
    return *out, theta


def exercise_rule(rule, key, scan):
    """Weights and traces under random spikes."""
    del key

    def step(carry, inputs):
        w, pre, post = carry
        s_pre, s_post = inputs
        pre = rule.pre_trace.step(pre, s_pre, DT)
        post, size = plasticity.update_traces(rule, post, s_post, DT)
        dw = plasticity.change(rule, w, s_pre, size, pre, post.fast, "sum", jnp.float32(BATCH), jnp.full(N, BATCH))
        return (jnp.clip(w + dw, rule.w_min, rule.w_max), pre, post), (w, pre, post)

    start = jnp.asarray(WEIGHTS), jnp.zeros((BATCH, N)), plasticity.initial_traces(rule, (BATCH, N))
    return scan(step, start, SPIKES)[1]


def exercise_inhibition(inhibition, key, scan):
    """Currents, with nothing left out of the state, under random spikes."""
    del key

    def step(state, s):
        state, current = inhibition.step(state, s, DT / 4)
        return state, (current, state)

    return scan(step, inhibition.init((BATCH, N)), SPIKES[0])[1]


EXERCISES = {
    "encoder": exercise_encoder,
    "synapse": exercise_synapse,
    "neuron": exercise_neuron,
    "rule": exercise_rule,
    "inhibition": exercise_inhibition,
}


def eager_scan(step, carry, inputs, n_steps=4):
    """The first steps of lax.scan as a loop, for what eager execution does."""
    out = []
    for t in range(n_steps):
        carry, y = step(carry, jax.tree.map(lambda x, t=t: x[t], inputs))
        out.append(y)
    return carry, jax.tree.map(lambda *ys: jnp.stack(ys), *out)


traced = []


@functools.partial(jax.jit, static_argnames="kind")
def exercise(kind, model, key):
    """A compiled short run that leaves a mark whenever it is traced."""
    traced.append(kind)
    return EXERCISES[kind](model, key, jax.lax.scan)


def assert_same(got, want, rtol=1e-5):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        if a.dtype == bool:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5)


def other(value):
    """Another number of the same kind: half of it, or something finite."""
    return 0.0 if np.isinf(value) else value / 2 if value else 0.125


def perturbed(model):
    """The model with each of its numbers changed, one at a time: [(path, model)]."""
    leaves, structure = jax.tree.flatten(model)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(model)]
    return [
        (path, jax.tree.unflatten(structure, [*leaves[:k], other(leaves[k]), *leaves[k + 1 :]]))
        for k, path in enumerate(paths)
    ]


def nodes(model):
    """The node and all nodes in its fields, with their paths."""
    found = [((), model)]
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if dataclasses.is_dataclass(value):
            found += [((field.name, *path), node) for path, node in nodes(value)]
    return found


def replaced(model, path, **changes):
    """The model with fields changed of the node at `path`."""
    if not path:
        return dataclasses.replace(model, **changes)
    return dataclasses.replace(model, **{path[0]: replaced(getattr(model, path[0]), path[1:], **changes)})


def shaped(tree):
    """Structure, shapes, dtypes and weak types: what a scan carries round."""
    return jax.tree.structure(tree), [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(tree)]


# ---------------------------------------------------------------- all kinds


@every_model
def test_numbers_are_leaves_and_modes_are_structure(kind, model):
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(model)}
    for path, node in nodes(model):
        assert node.__dataclass_params__.frozen
        for field in dataclasses.fields(node):
            value, where = getattr(node, field.name), "".join(f".{name}" for name in (*path, field.name))
            assert field.kw_only, where
            if field.name in static_fields(node):
                assert not any(leaf.startswith(where) for leaf in leaves), f"{where} is static and a leaf"
                assert hash(value) is not None
            elif value is not None and not dataclasses.is_dataclass(value):
                assert isinstance(value, float), f"{where} = {value!r}: a number is a float, a mode is static"
                assert leaves.pop(where) == value
    assert not leaves, "leaves that are no field"


def test_no_two_models_have_the_same_structure():
    """Equal structures share a compiled program, now and then: one model would run under the name of another.

    `jax.tree_util.register_dataclass` (jaxlib 0.10.1) compares the fields of two nodes and not their classes.
    """
    for registry in REGISTRIES.values():
        for (name, one), (other, two) in itertools.combinations(registry.items(), 2):
            assert jax.tree.structure(one) != jax.tree.structure(two), f"{name} is {other} to jit"


@every_model
def test_it_survives_being_taken_apart(kind, model):
    leaves, structure = jax.tree.flatten(model)
    assert jax.tree.unflatten(structure, leaves) == model
    assert hash(structure) == hash(jax.tree.structure(type(model)(**vars(model))))
    assert all(x is None for x in jax.tree.leaves(jax.tree.map(lambda _: None, model)))


@every_model
def test_jit_is_eager(kind, model):
    got = EXERCISES[kind](model, KEY, eager_scan)
    assert_same(got, jax.tree.map(lambda x, y: x[: len(y)], exercise(kind, model, KEY), got))


@every_model
def test_vmap_over_every_number_is_a_loop(kind, model):
    """And every number does something: changing it changes the run."""
    start = exercise(kind, model, KEY)
    paths, models = zip(("", model), *perturbed(model), strict=True)
    stacked = jax.tree.map(lambda *xs: jnp.array(xs), *models)
    together = jax.vmap(exercise, (None, 0, None), axis_size=len(models))(kind, stacked, KEY)
    for k, (path, one) in enumerate(zip(paths, models, strict=True)):
        alone = exercise(kind, one, KEY)
        assert_same(jax.tree.map(lambda x, k=k: x[k], together), alone)
        pairs = zip(jax.tree.leaves(alone), jax.tree.leaves(start), strict=True)
        idle = kind == "inhibition" and path in IDLE
        assert idle or not path or any((a != b).any() for a, b in pairs), f"{path} does nothing"


@every_model
def test_numbers_do_not_compile_again(kind, model):
    exercise(kind, model, KEY)
    before = len(traced)
    for _, one in perturbed(model):
        exercise(kind, one, KEY)
    exercise(kind, model, jax.random.key(1))
    assert len(traced) == before


def modes():
    for kind, registry in REGISTRIES.items():
        for name, model in registry.items():
            for path, node in nodes(model):
                for field in sorted(static_fields(node)):
                    yield pytest.param(kind, model, path, field, id=".".join((kind, name, *path, field)))


def another_mode(cls, field, value):
    """Another value of a static field, of those its type allows."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    allowed = inspect.get_annotations(cls, eval_str=True)[field].__args__
    return next(choice for choice in allowed if choice != value)


@pytest.mark.parametrize(("kind", "model", "path", "field"), list(modes()))
def test_modes_compile_once_more(kind, model, path, field):
    """A static field is another program: one compilation, and a different run."""
    node = functools.reduce(getattr, path, model)
    changed = replaced(model, path, **{field: another_mode(type(node), field, getattr(node, field))})
    assert jax.tree.structure(changed) != jax.tree.structure(model)
    start, before = exercise(kind, model, KEY), len(traced)
    out = exercise(kind, changed, KEY)
    exercise(kind, changed, jax.random.key(1))
    assert len(traced) == before + 1
    differ = [(a != b).any() for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(start), strict=True)]
    assert any(differ), f"{field} does nothing"


@every_model
def test_it_is_documented(kind, model):
    methods = [
        (name, method)
        for name, method in vars(type(model)).items()
        if inspect.isfunction(method) and not name.startswith("_")
    ]
    assert methods
    for name, thing in [("", type(model)), *methods]:
        text = thing.__doc__ or ""
        assert text.strip() and not text.startswith(f"{type(model).__name__}("), f"{name or type(model)}: no docstring"
    assert inspect.getmodule(type(model)).__doc__


# ---------------------------------------------------------------- encoders


@every_encoder
def test_raster_is_bool_and_blank_is_silent(encoder):
    raster = exercise("encoder", encoder, KEY)
    assert raster.shape == (T, N) and raster.dtype == bool and raster.any()
    assert not raster[:, 0].any()  # the pixel that is 0
    assert not encoder.encode(KEY, jnp.zeros(N), T, DT).any()


# ---------------------------------------------------------------- synapses


@every_synapse
def test_synapse_state_is_a_fixed_point(synapse):
    zeros = jnp.zeros((BATCH, N))
    for numbers in (synapse, jax.tree.map(jnp.float32, synapse)):
        start = jax.eval_shape(lambda synapse: synapse.init((BATCH, N)), numbers)
        after, current = jax.eval_shape(lambda s, state: s.step(state, zeros, zeros, zeros - 60.0, DT), numbers, start)
        assert shaped(start) == shaped(after)
        assert current.shape == (BATCH, N) and current.dtype == jnp.float32


@every_synapse
def test_excitation_pushes_and_inhibition_pulls_its_own_neuron(synapse):
    one, v = jnp.zeros((BATCH, N)).at[1, 3].set(1.0), jnp.full((BATCH, N), -60.0)
    for excitation, inhibition, sign in ((one, 0 * one, 1), (0 * one, -one, -1), (0 * one, 0 * one, 0)):
        _, current = synapse.step(synapse.init((BATCH, N)), excitation, inhibition, v, DT / 4)
        np.testing.assert_array_equal(jnp.sign(current), sign * one)


@every_synapse
def test_current_bound_bounds_what_is_left(synapse):
    """Of the positive currents, wherever the potential goes meanwhile."""
    dt, v = DT / 4, jnp.full((BATCH, N), -60.0)
    state, _ = synapse.step(synapse.init((BATCH, N)), jnp.abs(jnp.asarray(CURRENTS[0])), 0 * v, v, dt)
    bound, total = synapse.current_bound(state, v, dt), 0.0
    for t in range(200):
        state, current = synapse.step(state, 0 * v, 0 * v, v, dt)
        total = total + jnp.maximum(current, 0.0)
        v = v + CURRENTS[t % T]
        v = jnp.clip(v, -100.0, 0.0)
    assert (total <= bound + 1e-4).all()


# ---------------------------------------------------------------- neurons


BOUNDED = [pytest.param(neuron, id=name) for name, neuron in NEURONS.items() if isinstance(neuron, BoundedPotential)]


@pytest.mark.parametrize("neuron", BOUNDED)
def test_potential_bound_bounds_the_potential(neuron):
    """From any state, however the currents come."""
    state = neuron.init((BATCH, N))
    state = dataclasses.replace(state, v=state.v + jnp.asarray(CURRENTS[0]))
    currents = np.maximum(CURRENTS[1:], 0.0)
    bound = neuron.potential_bound(state, jnp.asarray(currents.sum(axis=0)), DT)
    highest, theta = state.v, jnp.full(N, 1e9)
    for current in currents:
        state, _ = neuron.integrate(state, jnp.asarray(current), theta, DT, neuron.noise(KEY, current.shape))
        highest = jnp.maximum(highest, state.v)
    assert (highest <= bound + 1e-3).all()
    assert BOUNDED


@every_neuron
def test_neuron_state_is_a_fixed_point(neuron):
    def step(neuron, state, current, theta):
        state, excess = neuron.integrate(state, current, theta, DT, neuron.noise(KEY, (BATCH, N)))
        return neuron.fire(state, excess >= 0), excess

    current, theta = jnp.zeros((BATCH, N)), jnp.zeros(N)
    start = jax.eval_shape(lambda neuron: neuron.init((BATCH, N)), neuron)
    for numbers in (neuron, jax.tree.map(jnp.float32, neuron)):  # as given, and as a sweep has them
        start = jax.eval_shape(lambda neuron: neuron.init((BATCH, N)), numbers)
        after, excess = jax.eval_shape(step, numbers, start, current, theta)
        assert shaped(start) == shaped(after)
        assert excess.shape == (BATCH, N) and excess.dtype == jnp.float32
    assert start.v.shape == (BATCH, N)  # what a Recording shows


@every_neuron
def test_neuron_rests(neuron):
    """Without input it stays where a presentation starts, and so does one whose spikes are none."""
    state = neuron.init((BATCH, N))
    rest = state.v
    for _ in range(5):
        state, _ = neuron.integrate(state, jnp.zeros((BATCH, N)), jnp.zeros(N), DT, neuron.noise(KEY, (BATCH, N)))
        assert_same(neuron.fire(state, jnp.zeros((BATCH, N), bool)), state)
        np.testing.assert_array_equal(state.v, rest)


@every_neuron
def test_neurons_are_independent(neuron):
    """The current of one moves that one alone, its own spikes too."""
    state, current = neuron.init((BATCH, N)), jnp.zeros((BATCH, N))
    one = jnp.zeros((BATCH, N), bool).at[1, 3].set(True)
    calm, excess = neuron.integrate(state, current, jnp.zeros(N), DT, neuron.noise(KEY, (BATCH, N)))
    moved, more = neuron.integrate(state, jnp.where(one, 5.0, current), jnp.zeros(N), DT, neuron.noise(KEY, (BATCH, N)))
    np.testing.assert_array_equal(moved.v != calm.v, one)
    np.testing.assert_array_equal(more > excess, one)
    fired = neuron.fire(moved, one)
    changed = functools.reduce(
        jnp.logical_or, [a != b for a, b in zip(jax.tree.leaves(fired), jax.tree.leaves(moved), strict=True)]
    )
    np.testing.assert_array_equal(changed, one)


@every_neuron
def test_theta_is_subtracted_from_the_excess(neuron):
    state, current = neuron.init((BATCH, N)), jnp.full((BATCH, N), 3.0)
    low = neuron.integrate(state, current, jnp.zeros(N), DT, neuron.noise(KEY, (BATCH, N)))[1]
    theta = jnp.linspace(0, 4, N)
    np.testing.assert_allclose(
        low - neuron.integrate(state, current, theta, DT, neuron.noise(KEY, (BATCH, N)))[1], [theta] * BATCH, atol=1e-4
    )


# ---------------------------------------------------------------- rules

W = np.float32(RNG.random((N, N)))
VALUES = np.float32(RNG.uniform(0, 3, (4, N, N)))


@every_rule
def test_on_pre_is_affine_in_post_and_does_not_read_pre(rule):
    def f(post, pre=0.0):
        return np.broadcast_to(rule.on_pre(W, pre, post), W.shape)

    a, b, x, y = VALUES
    np.testing.assert_array_equal(f(a, x), f(a, y))
    np.testing.assert_allclose(f(a + b) - f(0 * a), f(a) - f(0 * a) + f(b) - f(0 * b), rtol=1e-4, atol=1e-7)
    if rule.post_trace is None:
        np.testing.assert_array_equal(f(a), 0)
    else:
        assert (f(a) != f(b)).any()


@every_rule
def test_on_post_is_affine_in_pre_and_does_not_read_post(rule):
    """Linear, unless it updates silent inputs: the row of a silent input does not change (engines skip it)."""

    def f(pre, post=0.0):
        return np.broadcast_to(rule.on_post(W, pre, post), W.shape)

    a, b, x, y = VALUES
    np.testing.assert_array_equal(f(a, x), f(a, y))
    alone = f(0 * a)
    assert (alone != 0).any() if rule.updates_silent_inputs else (alone == 0).all()
    assert not (rule.updates_silent_inputs and rule.slow_trace is not None)
    assert (f(a) != alone).any()
    np.testing.assert_allclose(f(a + b) - alone, f(a) - alone + f(b) - alone, rtol=1e-4, atol=1e-6)


@every_rule
def test_rules_are_elementwise(rule):
    """The change of synapse (i, j) depends on its own weight and traces only."""
    pre, post = VALUES[0][:, :1], VALUES[1][:1]
    for function in (rule.on_pre, rule.on_post):
        whole = np.broadcast_to(function(W, pre, post), W.shape)
        for i, j in [(0, 0), (3, 7), (11, 2)]:
            np.testing.assert_allclose(whole[i, j], function(W[i, j], pre[i, 0], post[0, j]), rtol=1e-6)


@every_rule
def test_no_spikes_no_change(rule):
    silent, traces = jnp.zeros((BATCH, N), bool), jnp.ones((BATCH, N))
    post, size = plasticity.update_traces(rule, plasticity.initial_traces(rule, (BATCH, N)), silent, DT)
    for reduction in ("sum", "max"):
        dw = plasticity.change(rule, jnp.asarray(W), silent, size, traces, post.fast, reduction, 2.0, jnp.full(N, 2))
        np.testing.assert_array_equal(dw, 0)


@every_rule
def test_traces_and_weights_are_fixed_points(rule):
    w, traces, spikes = jnp.asarray(W), jnp.zeros((BATCH, N)), jnp.zeros((BATCH, N), bool)

    def start(rule):
        return w, traces, plasticity.initial_traces(rule, traces.shape)

    def step(rule):
        _, pre, post = start(rule)
        pre, (post, size) = rule.pre_trace.step(pre, spikes, DT), plasticity.update_traces(rule, post, spikes, DT)
        n_fired = jnp.full(N, 2)
        return plasticity.change(rule, w, spikes, size, pre, post.fast, "sum", jnp.float32(2), n_fired), pre, post

    for numbers in (rule, jax.tree.map(jnp.float32, rule)):
        assert shaped(jax.eval_shape(step, numbers)) == shaped(jax.eval_shape(start, numbers))


# ---------------------------------------------------------------- inhibitions


@every_inhibition
def test_inhibition_state_is_a_fixed_point(inhibition):
    spikes = jnp.zeros((BATCH, N), bool)
    for numbers in (inhibition, jax.tree.map(jnp.float32, inhibition)):
        start = jax.eval_shape(lambda inhibition: inhibition.init((BATCH, N)), numbers)
        after, current = jax.eval_shape(lambda i, state: i.step(state, spikes, DT), numbers, start)
        assert shaped(start) == shaped(after)
        assert current.shape == (BATCH, N) and current.dtype == jnp.float32


@every_inhibition
def test_inhibition_inhibits_the_others_and_only_after_spikes(inhibition):
    currents, _ = exercise("inhibition", inhibition, KEY)
    assert (currents <= 0).all() and (currents < 0).any()
    one = jnp.zeros((BATCH, N), bool).at[0, 3].set(True)
    state, reached = inhibition.init((BATCH, N)), jnp.zeros((BATCH, N))
    for t in range(10):
        state, current = inhibition.step(state, one if t == 2 else jnp.zeros_like(one), DT)
        assert t >= 2 or not current.any()
        reached += current
    assert (reached[0] < 0).sum() == N - 1 and reached[0, 3] == 0 and not reached[1].any()
