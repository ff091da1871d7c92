"""The face of jsnn: what `import jsnn` gives, used as in the examples of the documents."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import jsnn
from jsnn import runs
from jsnn.analysis import pairs
from jsnn.grid.observer import Observer
from jsnn.neurons import NEURONS
from jsnn.rules import RULES
from jsnn.runs import config

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def digits():
    return jsnn.data.load("mnist_excerpt", n_train=60, n_test=40)


@pytest.fixture(scope="module")
def small():
    """12 neurons, 40 steps."""
    network = jsnn.CompetitiveNetwork(n_input=784, n_neurons=12, scaling=jsnn.SynapticScaling(settle=50.0))
    inputs = jsnn.Inputs(encoder=jsnn.Poisson(intensity=128.0), n_steps=40)
    return network, network.init(jax.random.key(0)), inputs


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


# ------------------------------------------------------------------------------------------------ names


def test_importing_jsnn_imports_nothing_else():
    code = "import jsnn, sys; print([m for m in ('jax', 'matplotlib', 'orbax') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_every_name_is_there_and_is_what_editors_are_told():
    source = Path(jsnn.__file__).read_text().partition("if TYPE_CHECKING:")[2].partition("_WHERE")[0]
    told = {line.rpartition(" as ")[2] for line in source.splitlines() if " as " in line}
    assert told == set(dir(jsnn)) - {"__version__"} and len(told) >= 40
    assert all(getattr(jsnn, name) is not None for name in told)
    with pytest.raises(AttributeError, match="no attribute 'LIFE'"):
        _ = jsnn.LIFE


def test_replace_changes_fields_and_names_those_there_are():
    neuron = jsnn.LIF().replace(tau_m=50.0)
    assert neuron == jsnn.LIF(tau_m=50.0) and type(neuron) is jsnn.LIF
    with pytest.raises(jsnn.InputError, match="LIF has no field 'tau'; its fields are tau_m, v_rest"):
        neuron.replace(tau=1.0)

    @jsnn.node
    class Own:
        number: float = 1.0

    assert Own().replace(number=2.0).number == 2.0


# ------------------------------------------------------------------------------------------------ one image


def test_first_example_of_the_design(digits):
    network = jsnn.CompetitiveNetwork(
        n_input=784, n_neurons=100, neuron=jsnn.LIF(adaptation=jsnn.AdaptiveThreshold()), rule=jsnn.STDP()
    )
    assert network == jsnn.CompetitiveNetwork()
    inputs = jsnn.Inputs(encoder=jsnn.Poisson(intensity=128.0), n_steps=100)
    state = network.init(jax.random.key(0))
    image = digits.train_images[0]
    after, record = jsnn.simulate(network, state, inputs, image, key=jax.random.key(1), learn=True)
    assert record.input_spikes.shape == (100, 784) and record.spikes.shape == record.v.shape == (100, 100)
    assert record.spikes.sum() > 0 and not np.array_equal(after.weights, state.weights)
    assert isinstance(jsnn.plots.raster(record), Figure) and isinstance(jsnn.plots.voltage(record), Figure)


def test_a_spike_is_seen_to_reach_its_threshold(small, digits):
    network, state, inputs = small
    _, record = jsnn.simulate(network, state, inputs, digits.train_images[0], key=KEY, learn=True)
    fired = np.asarray(record.spikes)
    assert fired.any() and (np.asarray(record.v)[fired] >= np.asarray(record.threshold)[fired]).all()
    first = np.flatnonzero(fired.any(axis=1))[0]
    assert (record.v[:first] < record.threshold[:first]).all()
    np.testing.assert_allclose(record.threshold, network.neuron.v_threshold + record.theta)
    grown = np.diff(np.asarray(record.theta), axis=0)
    np.testing.assert_allclose(grown, network.neuron.adaptation.theta_plus * fired[:-1], atol=1e-5)


def test_without_learning_the_state_stays(small, digits):
    network, state, inputs = small
    after, record = jsnn.simulate(network, state, inputs, digits.train_images[0], key=KEY)
    same(after, state)
    assert float(record.dt) == 1.0 and not record.theta.any()


def test_a_batch_is_its_images_alone(small, digits):
    network, state, inputs = small
    images = digits.train_images[:3]
    _, record = jsnn.simulate(network, state, inputs, images, key=KEY)
    assert record.spikes.shape == (3, 40, 12) and record.input_spikes.shape == (3, 40, 784)
    for b in range(3):
        _, alone = jsnn.simulate(network, state, inputs, images[b], key=jax.random.fold_in(KEY, b))
        np.testing.assert_array_equal(record.spikes[b], alone.spikes)
        np.testing.assert_allclose(record.v[b], alone.v, atol=1e-3)
    after, record = jsnn.simulate(network, state, inputs, images, key=KEY, learn=True)
    assert record.spikes.shape == (3, 40, 12) and not np.array_equal(after.weights, state.weights)


def test_images_in_any_form_are_the_same(small, digits):
    network, state, inputs = small
    image = digits.train_images[0]
    wanted = jsnn.simulate(network, state, inputs, image, key=KEY)[1].spikes
    for other in (image.reshape(28, 28), jnp.asarray(image), image / 255.0, (image / 255.0).astype(np.float32)):
        same(jsnn.simulate(network, state, inputs, other, key=KEY)[1].spikes, wanted)


WRONG = {
    "pixels": (lambda x: x[:100], r"images of shape .*100.: images should be .*784"),
    "integers": (lambda x: x.astype(int), "images of type int64: images should be uint8"),
    "a large float": (lambda x: x.astype(np.float32), "images from 0 to 255: .* floats from 0 to 1"),
    "not a number": (lambda x: x * np.float32("nan"), "images from nan to nan"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("function", ("simulate", "learn", "infer"))
def test_a_wrong_image_gets_one_sentence(small, digits, wrong, function):
    network, state, inputs = small
    change, message = WRONG[wrong]
    images = change(digits.train_images[0])
    images = images if function == "simulate" else images[None]
    with pytest.raises(jsnn.InputError, match=message) as error:
        getattr(jsnn, function)(network, state, inputs, images, key=KEY)
    assert "\n" not in str(error.value)


def test_what_does_not_go_together_gets_one_sentence(small, digits):
    network, state, inputs = small
    image = digits.train_images[0]
    with pytest.raises(jsnn.InputError, match="state.weights is .784, 12.: the network has .*784, 7"):
        jsnn.simulate(network.replace(n_neurons=7), state, inputs, image, key=KEY)
    with pytest.raises(jsnn.InputError, match="the encoder Direct gives float32.1, 784.: it should give spikes"):
        jsnn.simulate(network, state, inputs.replace(encoder=jsnn.Direct()), image, key=KEY)
    with pytest.raises(jsnn.InputError, match="network is a Feedforward: it should be a CompetitiveNetwork"):
        jsnn.simulate(jsnn.Feedforward(), state, inputs, image, key=KEY)
    with pytest.raises(jsnn.InputError, match=r"images of shape \[784\]: they should be \[n, 784\]"):
        jsnn.infer(network, state, inputs, image, KEY)


# ------------------------------------------------------------------------------------------------ many images


def test_learn_is_simulate_again_and_again(small, digits):
    network, state, inputs = small
    learned = jsnn.learn(network, state, inputs, digits.train_images[:4], KEY)
    for i in range(4):
        key = jax.random.fold_in(KEY, i)
        state, _ = jsnn.simulate(network, state, inputs, digits.train_images[i], key=key, learn=True, n_seen=i)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), learned, state)


def test_infer_counts_the_spikes_of_simulate(small, digits):
    network, state, inputs = small
    counts = jsnn.infer(network, state, inputs, digits.train_images[:5], KEY)
    _, record = jsnn.simulate(network, state, inputs, digits.train_images[:5], key=KEY)
    np.testing.assert_array_equal(counts, record.spikes.sum(axis=1))


@pytest.mark.parametrize("lockstep", (True, False))
def test_learning_in_batches_leaves_out_what_is_not_there(small, digits, lockstep):
    network, state, inputs = small
    network, inputs = network.replace(lockstep=lockstep), inputs.replace(batch_size=4)
    by_hand = state
    for part in (slice(0, 4), slice(4, 6)):
        images = digits.train_images[part]
        if len(images) < 4 and not lockstep:
            return
        after = jsnn.learn(network, state, inputs, digits.train_images[: part.stop], KEY)
        assert np.isfinite(after.weights).all() and not np.array_equal(after.weights, by_hand.weights)
        by_hand = after


def test_learn_and_infer_are_mapped_over_numbers_and_keys(small, digits):
    network, state, inputs = small
    images = digits.train_images[:3]

    def counts(eta, intensity, key):
        own = network.replace(rule=network.rule.replace(eta_post=eta))
        shown = inputs.replace(encoder=jsnn.Poisson(intensity=intensity))
        return jsnn.infer(own, jsnn.learn(own, state, shown, images, key), shown, images, key)

    numbers = jnp.array([0.01, 0.1]), jnp.array([128.0, 100.0]), jax.random.split(KEY, 2)
    mapped = jax.jit(jax.vmap(counts))(*numbers)
    looped = jnp.stack([counts(*(x[i] for x in numbers)) for i in range(2)])
    np.testing.assert_array_equal(mapped, looped)
    assert mapped.sum() > 0 and not np.array_equal(mapped[0], mapped[1])


# ------------------------------------------------------------------------------------------------ a neuron alone


def rate(neuron, current, dt, time=3000.0):
    """Spikes a ms, from the first to the last."""
    spikes = jsnn.simulate_neuron(neuron, current, dt=dt, n_steps=round(time / dt), key=KEY)[1]
    at = np.flatnonzero(spikes)
    return (at.size - 1) / ((at[-1] - at[0]) * dt)


def closed_form(neuron, current):
    """The rate of a neuron without noise and adaptation under a steady current, 1/ms."""
    if isinstance(neuron, jsnn.IF):
        return 1 / ((neuron.refractory or 0.0) + (neuron.v_threshold - neuron.v_reset) / current)
    start = neuron.v_reset - neuron.v_rest
    if not isinstance(neuron, jsnn.EulerLIF):  # whose membrane is held while it is refractory
        start *= np.exp(-(neuron.refractory or 0.0) / neuron.tau_m)
    ratio = (current - start) / (current - (neuron.v_threshold - neuron.v_rest))
    return 1 / ((neuron.refractory or 0.0) + neuron.tau_m * np.log(ratio))


@pytest.mark.parametrize("name", NEURONS)
def test_a_smaller_step_refines_the_rate_of_a_neuron(name):
    neuron = NEURONS[name].replace(adaptation=None)
    current = {"if": 0.5, "unit_if": 0.11, "unit_lif": 1.7}.get(name, 25.0)
    if name == "srm0":
        neuron = neuron.replace(delta=1e-3)  # hardly any noise: nearly a LIF neuron
    if name == "euler_lif":
        neuron = neuron.replace(v_threshold=-52.0, v_reset=-60.0)
    as_lif = jsnn.LIF() if name == "srm0" else neuron
    wanted = [abs(rate(neuron, current, dt) / closed_form(as_lif, current) - 1) for dt in (0.8, 0.2, 0.05)]
    assert wanted[0] < 0.5 and wanted[1] < 0.1 and wanted[2] < 0.02


@pytest.mark.parametrize("dt", (1.0, 0.5, 0.125))
def test_a_leaky_membrane_is_exact_between_spikes(dt):
    neuron = jsnn.LIF(v_threshold=1e3)
    v, spikes = jsnn.simulate_neuron(neuron, 20.0, dt=dt, n_steps=round(300 / dt))
    t = dt * (np.arange(v.size) + 1)
    np.testing.assert_allclose(v, neuron.v_rest + 20.0 * (1 - np.exp(-t / neuron.tau_m)), atol=2e-3)
    assert not spikes.any()


def test_frequency_against_current_is_the_closed_form():
    currents = jnp.linspace(14.0, 60.0, 6)
    neuron = jsnn.LIF()
    spikes = jax.vmap(lambda i: jsnn.simulate_neuron(neuron, i, dt=0.1, n_steps=20_000)[1])(currents)
    for fired, current in zip(np.asarray(spikes), np.asarray(currents), strict=True):
        at = np.flatnonzero(fired) * 0.1
        np.testing.assert_allclose((at.size - 1) / (at[-1] - at[0]), closed_form(neuron, current), rtol=0.01)


def test_currents_that_change_and_thresholds_that_adapt():
    current = np.r_[np.zeros(50), np.full(150, 40.0)]
    v, spikes = jsnn.simulate_neuron(jsnn.LIF(), current)
    assert v.shape == spikes.shape == (200,) and not spikes[:50].any() and spikes.sum() > 2
    np.testing.assert_allclose(v[:50], -65.0, atol=1e-4)
    adaptive = jsnn.LIF(adaptation=jsnn.AdaptiveThreshold(theta_plus=3.0, tau_theta=1e3))
    assert 0 < jsnn.simulate_neuron(adaptive, current)[1].sum() < spikes.sum()


def test_what_a_neuron_alone_needs():
    with pytest.raises(jsnn.InputError, match="SRM0 draws random numbers: give a key"):
        jsnn.simulate_neuron(jsnn.SRM0(), 20.0)
    with pytest.raises(jsnn.InputError, match=r"current is float32\[3\]: it should be a number, or .*n_steps = 5"):
        jsnn.simulate_neuron(jsnn.LIF(), [1.0, 2.0, 3.0], n_steps=5)


# ------------------------------------------------------------------------------------------------ pictures


def test_window_of_stdp_is_the_closed_form():
    rule = jsnn.STDP(eta_pre=0.02, eta_post=0.03, pre_trace=jsnn.Trace(tau=10.0), post_trace=jsnn.Trace(tau=25.0))
    lags, dt = np.arange(-40, 41), 0.5
    after, before = 0.03 * np.exp(-lags * dt / 10.0), -0.02 * np.exp(lags * dt / 25.0)
    wanted = np.where(lags > 0, after, 0) + np.where(lags < 0, before, 0) + np.where(lags == 0, after + before, 0)
    np.testing.assert_allclose(pairs.window(rule, lags, dt), wanted, rtol=1e-5)


def test_window_of_soft_bounds_knows_the_weight():
    rule = jsnn.WeightDependentSTDP(eta_pre=0.02, eta_post=0.03)
    low, high = (pairs.window(rule, np.array([-5, 5]), w=w) for w in (0.2, 0.8))
    np.testing.assert_allclose(low / high, [0.2 / 0.8, 0.8 / 0.2], rtol=1e-5)


def test_window_of_a_triplet_needs_one():
    rule, lags = jsnn.Triplet(), np.array([-5, 5])
    alone, after_another = pairs.window(rule, lags), pairs.window(rule, lags, slow=0.5)
    assert alone[0] == after_another[0] < 0 and alone[1] == 0
    np.testing.assert_allclose(after_another[1], 0.5 * rule.eta_post * np.exp(-5 / 20), rtol=1e-5)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_a_picture(name):
    figure = jsnn.plots.stdp_window(RULES[name])
    assert type(RULES[name]).__name__ in figure.get_suptitle()
    axes = figure.axes[0]
    assert "(ms)" in axes.get_xlabel() and "(mV)" in axes.get_ylabel()
    assert any(np.ptp(line.get_ydata()) > 0 for line in axes.lines)


def test_a_membrane_is_drawn_and_shown_in_notebooks():
    v, spikes = jsnn.simulate_neuron(jsnn.LIF(), 30.0, dt=0.5)
    figure = jsnn.plots.voltage(v, spikes, threshold=-52.0, dt=0.5)
    assert figure._repr_png_().startswith(b"\x89PNG")
    drawn = {line.get_label(): line for line in figure.axes[0].lines}
    assert drawn["membrane potential"].get_ydata().max() >= -52.0
    assert figure.axes[0].get_xlabel() == "time (ms)" and figure.axes[0].get_ylabel() == "potential (mV)"


def test_pictures_refuse_what_they_cannot_draw(small, digits):
    network, state, inputs = small
    _, record = jsnn.simulate(network, state, inputs, digits.train_images[:2], key=KEY)
    with pytest.raises(jsnn.InputError, match="the record is of a batch: take one of it"):
        jsnn.plots.raster(record)
    one = record.one(0)
    with pytest.raises(jsnn.InputError, match="neuron 12: it should be from 0 to 11"):
        jsnn.plots.raster(one, neuron=12)
    with pytest.raises(jsnn.InputError, match=r"v \[3\], spikes \[2\]: they should be \[n_steps\], both"):
        jsnn.plots.voltage([1, 2, 3], [True, False])


# ------------------------------------------------------------------------------------------------ a whole run


def squares(n_classes, n_train=90, n_test=40, side=6):
    """Images of side x side pixels: class c lights the c-th part of them."""
    rng = np.random.default_rng(n_classes)

    def part(n):
        labels = rng.integers(0, n_classes, n)
        lit = np.arange(side * side) * n_classes // (side * side) == labels[:, None]
        return (lit * rng.uniform(0.6, 1.0, lit.shape)).reshape(n, side, side), labels

    return jsnn.data.from_arrays(*part(n_train), *part(n_test), name="squares")


def tiny(n_classes=3, **changes):
    network = jsnn.CompetitiveNetwork(n_input=36, n_neurons=3 * n_classes, norm=12.0, gain=2.0)
    inputs = jsnn.Inputs(encoder=jsnn.Poisson(intensity=128.0), n_steps=40)
    return network.replace(**changes), inputs


@pytest.fixture(scope="module")
def fitted():
    network, inputs = tiny()
    return jsnn.fit(network, inputs, squares(3), n_assign=60, seed=5, epochs=2, progress=False)


def test_fit_learns_its_own_data_and_says_all_of_it(fitted):
    assert fitted.accuracy > 0.8 and fitted.readouts["all_activity"] == fitted.accuracy
    assert fitted.state.weights.shape == (36, 9) and fitted.labels.shape == (9,)
    assert fitted.confusion.shape == (3, 4) and int(fitted.confusion.sum()) == 40
    assert int(np.trace(np.asarray(fitted.confusion))) == round(40 * fitted.accuracy)
    assert fitted.curve.shape == (35, 2) and float(fitted.curve[-1, 0]) == 180
    assert set(np.asarray(fitted.labels).tolist()) <= {-1, 0, 1, 2}


def test_fit_is_what_a_run_of_the_same_settings_gives(fitted, tmp_path):
    tables = {"study": "same", "data": {"n_assign": 60}, "run": {"n_steps": 40, "seed": 5, "epochs": 2}}
    tables["network"] = {"n_input": 36, "n_neurons": 9, "norm": 12.0, "gain": 2.0}
    cfg = config.parse(tables)
    network, inputs = tiny()
    assert cfg.entries[0].trial.network == network and cfg.entries[0].trial.inputs == inputs.replace(seed=5)
    (line,) = runs.run(cfg, squares(3), tmp_path / "run", Observer())
    assert line["accuracy"] == fitted.accuracy and line["confusions"]["all_activity"] == fitted.confusion.tolist()
    assert line["readouts"] == fitted.readouts and line["neuron_labels"] == fitted.labels.tolist()
    np.testing.assert_allclose(line["curve"], fitted.curve)

    loaded = jsnn.load(str(tmp_path / "run"))
    np.testing.assert_allclose(loaded.weights, fitted.state.weights, rtol=1e-5, atol=1e-6)
    assert loaded.accuracy == line["accuracy"] and loaded.network == network and loaded.settings == tables
    np.testing.assert_array_equal(loaded.confusion, fitted.confusion)
    with pytest.raises(jsnn.InputError, match="has no trial with seed = 6; it has 5"):
        jsnn.load(tmp_path / "run", seed=6)
    with pytest.raises(jsnn.InputError, match=r"has no trial of \{'rule.eta_post': 1\}"):
        jsnn.load(tmp_path / "run", overrides={"rule.eta_post": 1})
    with pytest.raises(jsnn.InputError, match="holds no run"):
        jsnn.load(tmp_path / "nothing")


@pytest.mark.parametrize("case", ["online", "batches", "steps together"])
def test_fit_is_mapped_as_it_is_looped(case):
    network, inputs = tiny(lockstep=case == "steps together")
    inputs, digits = inputs.replace(batch_size=1 if case == "online" else 4), squares(3)

    def fit(eta, seed):
        own = network.replace(rule=jsnn.STDP(eta_post=eta))
        return jsnn.fit(own, inputs, digits, n_train=50, n_assign=40, seed=seed, progress=False)

    etas, seeds = jnp.array([0.01, 0.05]), jnp.array([0, 3])
    mapped = jax.vmap(fit)(etas, seeds)
    for i in range(2):
        one = fit(float(etas[i]), int(seeds[i]))
        np.testing.assert_allclose(mapped.accuracy[i], one.accuracy, rtol=1e-6)
        np.testing.assert_allclose(mapped.curve[i], one.curve, rtol=1e-6)
        np.testing.assert_array_equal(mapped.confusion[i], one.confusion)
        np.testing.assert_array_equal(mapped.labels[i], one.labels)
        np.testing.assert_allclose(mapped.state.weights[i], one.state.weights, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose([mapped.readouts[name][i] for name in one.readouts], [*one.readouts.values()])


def test_second_example_of_the_design():
    network, inputs = tiny()
    digits = squares(3)

    def accuracy(eta):
        own = network.replace(rule=jsnn.STDP(eta_post=eta))
        return jsnn.fit(own, inputs, digits, n_train=30, progress=False).accuracy

    assert jax.vmap(accuracy)(jnp.geomspace(1e-3, 1e-1, 4)).shape == (4,)


@pytest.mark.parametrize("n_classes", (2, 12))
def test_any_number_of_classes_is_learned_and_tested(n_classes):
    network, inputs = tiny(n_classes)
    network = network.replace(gain=0.7 * n_classes)  # the fewer pixels an image lights, the more each of them counts
    result = jsnn.fit(network, inputs, squares(n_classes, n_train=120), progress=False)
    assert result.confusion.shape == (n_classes, n_classes + 1)
    assert result.accuracy > 0.7


def test_fit_draws_a_bar_and_refuses_what_cannot_be():
    network, inputs = tiny()
    digits = squares(3)
    with pytest.raises(jsnn.InputError, match="n_train = 91 for squares: it should be from 1 to 90"):
        jsnn.fit(network, inputs, digits, n_train=91)
    with pytest.raises(jsnn.InputError, match="n_assign = 91: it should be from 1 to 90"):
        jsnn.fit(network, inputs, digits, n_assign=91)
    with pytest.raises(jsnn.InputError, match="network.n_input = 35: it should be 36, the pixels of squares"):
        jsnn.fit(network.replace(n_input=35), inputs, digits)
    with pytest.raises(jsnn.InputError, match="readout = 'svm': it should be one of all_activity"):
        jsnn.fit(network, inputs, digits, readout="svm")
    with pytest.raises(jsnn.InputError, match="fit: .*direct input"):
        jsnn.fit(network, inputs.replace(encoder=jsnn.Direct()), digits)


# ------------------------------------------------------------------------------------------------ names


def test_a_trial_is_what_its_words_mean_in_a_config():
    made = jsnn.trial("poisson", "adaptive_lif", "stdp", n_neurons=100)
    assert made.network == jsnn.CompetitiveNetwork() and made.inputs == jsnn.Inputs(encoder=jsnn.Poisson())
    settings = {"rule.eta_post": 0.02, "encoder.intensity": 64.0, "network.inhibition.strength": 50.0}
    made = jsnn.trial("poisson", "lif", "stdp", n_steps=50, seed=3, **settings)
    wanted = jsnn.CompetitiveNetwork(
        neuron=jsnn.LIF(), rule=jsnn.STDP(eta_post=0.02), inhibition=jsnn.DirectInhibition(strength=50.0)
    )
    assert made.network == wanted
    assert made.inputs == jsnn.Inputs(encoder=jsnn.Poisson(intensity=64.0), n_steps=50, seed=3)
    assert isinstance(jsnn.trial("direct", "unit_lif", "bptt", n_steps=10).network, jsnn.Feedforward)


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (("poison",), {}, "unknown encoder 'poison'; do you mean 'poisson'"),
        ((), {"n_neuron": 3}, "trial: unknown setting 'n_neuron'; do you mean 'n_neurons'"),
        ((), {"n_neurons": 0}, "network.n_neurons = 0: it should be greater than or equal to 1"),
        ((), {"rule.eta": 1.0}, "unknown key 'eta'"),
    ],
)
def test_words_that_mean_nothing_get_one_sentence(names, settings, message):
    with pytest.raises(jsnn.InputError, match=message):
        jsnn.trial(*names, **settings)
