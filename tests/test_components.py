"""Components of one's own, defined outside jsnn: named in a config, they learn, are resumed, and are read back."""

import json
import shutil

import jax
import numpy as np
import pytest

from jsnn import data, runs
from jsnn.core.errors import InputError
from jsnn.grid.observer import Observer
from jsnn.runs import config

MINE = '''
"""A rule, a neuron, an encoder, a synapse, an inhibition, a surrogate and a learner of one's own."""

import jax
import jax.numpy as jnp
import jsnn
from jsnn.core.pytree import node
from jsnn.core.trace import Trace
from jsnn.learners import GradientLearner, Optimiser


@node
class Rule:
    """Depression and potentiation by the same rate."""

    eta: float = 0.01
    w_min = 0.0
    w_max: float = 1.0
    pre_trace: Trace = Trace()
    post_trace: Trace = Trace()
    slow_trace = None
    updates_silent_inputs = False

    def on_pre(self, w, pre, post):
        return -0.01 * self.eta * post

    def on_post(self, w, pre, post):
        return self.eta * pre


@node
class State:
    v: jax.Array


@node
class Neuron:
    """A leaky membrane of which a step leaves a share."""

    share: float = 0.99
    v_threshold: float = -52.0
    v_reset = -65.0
    adaptation = None

    def init(self, shape):
        return State(v=jnp.full(shape, self.v_reset))

    def noise(self, key, shape):
        return ()

    def integrate(self, state, current, theta, dt, noise):
        v = self.v_reset + self.share * (state.v - self.v_reset) + current
        return State(v=v), v - self.v_threshold - theta

    def fire(self, state, spikes):
        return State(v=jnp.where(spikes, self.v_reset, state.v))


@node
class Encoder:
    """A spike of each bright pixel in every k-th step."""

    every: int = 5

    def encode(self, key, image, n_steps, dt):
        return (jnp.arange(n_steps)[:, None] % self.every == 0) & (image > 0.3)


@node
class Synapse:
    """Half of what arrives."""

    share: float = 0.5

    def init(self, shape):
        return ()

    def step(self, state, excitation, inhibition, v, dt):
        return state, self.share * excitation + inhibition

    def current_bound(self, state, v, dt):
        return jnp.zeros_like(v)


@node
class Inhibition:
    """Every neuron inhibits all, itself too."""

    strength: float = 20.0

    def init(self, shape):
        return ()

    def step(self, state, spikes, dt):
        return state, -self.strength * jnp.sum(spikes, axis=-1, keepdims=True) * jnp.ones(spikes.shape[-1])


@node
class Surrogate:
    """A Gaussian."""

    width: float = 0.4

    def slope(self, x):
        return jnp.exp(-jnp.square(x / self.width))


@node
class Learner(GradientLearner):
    """The gradient's sign."""

    optimiser: Optimiser = Optimiser()

    def gradient(self, network, params, batch):
        gradient, metrics = jsnn.learners.BPTT().gradient(network, params, batch)
        return jax.tree.map(jnp.sign, gradient), metrics


word = "no component"


class Undecorated:
    pass


@node
class WithoutDefault:
    eta: float
'''.replace("import jsnn\n", "import jsnn.learners\n")

PLASTIC = """
study = "mine"
[data]
n_train = 24
n_assign = 12
n_test = 12
[run]
n_steps = 20
curve_points = 3
engine = "dense"
[matrix]
encoder = ["every"]
neuron = ["own"]
rule = ["own", "stdp"]
[encoder.every]
kind = "mine.py:Encoder"
[neuron.own]
kind = "mine.py:Neuron"
[rule.own]
kind = "mine.py:Rule"
w_max = 0.9
[network]
n_neurons = 5
synapse = { kind = "mine.py:Synapse" }
inhibition = { kind = "mine.py:Inhibition", strength = 10.0 }
[sweep]
run.seed = [0, 1]
"""
GRADIENTS = """
study = "mine"
[data]
n_train = 40
n_test = 20
[run]
n_steps = 4
batch_size = 10
curve_points = 2
[matrix]
encoder = ["direct"]
neuron = ["unit_lif"]
rule = ["sign"]
[rule.sign]
kind = "mine.py:Learner"
optimiser = { learning_rate = 0.01 }
[network]
architecture = "8-10"
surrogate = { kind = "mine.py:Surrogate", width = 0.5 }
"""


class Interrupted(Observer):
    """Stops a run after so many presentations."""

    def __init__(self, after):
        self.after = after

    def progress(self, n):
        self.after -= n
        if self.after < 0:
            raise KeyboardInterrupt


@pytest.fixture
def study(tmp_path):
    """Write a config beside a file of components; the path of the config."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.py").write_text(MINE)

    def write(text):
        (tmp_path / "study" / "study.toml").write_text(text)
        return tmp_path / "study" / "study.toml"

    return write


@pytest.mark.parametrize("text", [PLASTIC, GRADIENTS], ids=["plasticity", "gradients"])
def test_a_study_of_own_components_is_a_study_like_any_other(study, tmp_path, text):
    images, path = data.load("mnist_excerpt"), study(text)
    cfg = config.load(path)
    whole = runs.run(cfg, images, tmp_path / "whole", Observer(), clock=False)
    assert [line["rule"] for line in whole] == [entry.rule for entry in cfg.entries]
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        runs.run(cfg, images, out, Interrupted(30), clock=False)
    runs.run(config.load(path), images, out, Observer(), resume=True, clock=False)
    assert (out / "results.jsonl").read_bytes() == (tmp_path / "whole" / "results.jsonl").read_bytes()
    path.with_name("mine.py").unlink()  # the run has its own copy
    trained = runs.load_trained(out, pytest.fail)
    assert trained.cfg.entries == cfg.entries
    trial, learned = runs.network_of(trained, whole[0])
    assert trial == cfg.entries[0].trial
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(learned))


def test_another_file_is_another_study(study, tmp_path):
    images, path, out = data.load("mnist_excerpt"), study(PLASTIC), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        runs.run(config.load(path), images, out, Interrupted(0), clock=False)
    path.with_name("mine.py").write_text(MINE.replace("-0.01 * self.eta", "-0.02 * self.eta"))
    with pytest.raises(InputError, match="--resume: mine.py is not the file that it was when the run in"):
        runs.run(config.load(path), images, out, Observer(), resume=True, clock=False)
    kept = out / runs.COMPONENTS / "mine.py"
    kept.write_text(kept.read_text() + "\n")
    with pytest.raises(InputError, match="its files are not those that the run was started with"):
        runs.config_of(out)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("mine.py:Oja", "mine.py has no 'Oja'; it should be a class or an instance in it"),
        ("mine.py:", "mine.py has no ''"),
        ("yours.py:Rule", "cannot read .*yours.py: No such file"),
        ("mine.py:word", "it should be a class decorated with @jsnn.node"),
        ("mine.py:Undecorated", "it should be a class decorated with @jsnn.node"),
        ("mine.py:WithoutDefault", "each of its fields should have a default"),
        ("mine.py:Encoder", "it should be a Rule or Learner; it has no on_post, no on_pre, no post_trace"),
        ("no_such_package.rules:Rule", "the module no_such_package.rules cannot be imported: ModuleNotFoundError"),
        ("broken.py:Rule", "broken.py cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_no_component_is_refused_in_a_line(study, kind, message):
    path = study(PLASTIC.replace("mine.py:Rule", kind))
    path.with_name("broken.py").write_text("1 / 0\n")
    with pytest.raises(InputError, match=f'rule.own.kind = "{kind}": .*{message}') as refused:
        config.load(path)
    assert "\n" not in str(refused.value)


def test_a_component_of_an_installed_module(study):
    cfg = config.load(study(PLASTIC.replace("mine.py:Rule", "jsnn.rules.hebbian:Hebbian").replace("w_max = 0.9", "")))
    assert type(cfg.entries[0].trial.network.rule).__name__ == "Hebbian"
    assert json.loads(json.dumps(cfg.tables))["rule"]["own"]["kind"] == "jsnn.rules.hebbian:Hebbian"


def test_the_same_content_is_the_same_class(study, tmp_path):
    first = config.load(study(PLASTIC))
    shutil.copytree(tmp_path / "study", tmp_path / "elsewhere")
    second = config.load(tmp_path / "elsewhere" / "study.toml")
    assert first.entries == second.entries
