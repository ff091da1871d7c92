"""What a study's TOML means: overlays on registry entries, `--set`, per-component networks, and the order of trials."""

import dataclasses
import math
import tomllib
import typing
from pathlib import Path

import jax
import pytest

from jsnn import data, runs
from jsnn.core.errors import InputError
from jsnn.core.trace import Trace
from jsnn.data import DATASETS, RECORDINGS
from jsnn.encoders import ENCODERS, BindsnetPoisson, Poisson
from jsnn.engines.stimulus import Inputs
from jsnn.grid import groups
from jsnn.grid.groups import Trial
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.inhibition import INHIBITIONS, DirectInhibition, InhibitoryLayer
from jsnn.learners import Plasticity
from jsnn.learners.ann import ANN
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.neurons import IF, LIF, NEURONS, SRM0
from jsnn.rules import RULES, STDP, Hebbian, WeightDependentSTDP
from jsnn.runs import config
from jsnn.runs.config import DataConfig, RunConfig


class Quiet:
    """Tells nothing."""

    def __getattr__(self, name):
        return lambda *arguments: None


CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.toml"))


def parsed(toml: str = "", *assignments: str) -> config.Config:
    """The study that a TOML text and `--set` assignments are."""
    tables = tomllib.loads(f'study = "x"\n{toml}')
    for assignment in assignments:
        config.set_path(tables, assignment)
    return config.parse(tables)


def only(toml: str = "", *assignments: str) -> Trial:
    """The trial of a study that has one."""
    (entry,) = parsed(toml, *assignments).entries
    return entry.trial


# --- the published configs


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_a_study_of_its_name_that_says_what_it_claims(path):
    cfg = config.load(path)
    assert cfg.study == path.stem
    assert cfg.entries
    planned = [i for lane in groups.plan([e.trial for e in cfg.entries]) for cell in lane.cells for i in cell.index]
    assert sorted(planned) == list(range(len(cfg.entries)))
    header = path.read_text().split("\nstudy =")[0]
    for part in ("# Claim:", "# Command:", "# Time:", "# Expected:"):
        assert part in header


def test_seed_study():
    """The 36 cells of the study of 2020, as BindsNET computed them."""
    path = next(path for path in CONFIGS if path.stem == "seed_study")
    cfg = config.load(path)
    cells = {(e.encoder, e.neuron, e.rule): e.trial for e in cfg.entries}
    assert len(cells) == len(cfg.entries) == 3 * 4 * 3
    assert cfg.data == DataConfig(name="mnist")
    assert (cfg.run.batch_size, cfg.run.n_steps, cfg.run.epochs, cfg.run.dt) == (64, 100, 1, 1.0)
    assert cfg.ann == ANN(learning_rate=0.01, batch_size=64, epochs=1)
    shared = {
        "norm_at_start": False,
        "reduction": "sum",
        "inhibition": DirectInhibition(strength=120.0),
    }
    assert cells["poisson", "adaptive_lif", "stdp"] == Trial(
        inputs=Inputs(encoder=BindsnetPoisson(intensity=128.0), n_steps=100, batch_size=64),
        network=CompetitiveNetwork(
            neuron=LIF(adaptation=AdaptiveThreshold(theta_plus=0.05, tau_theta=1e7, clock="step")),
            rule=STDP(),
            tie_break="random",
            ghosts=True,
            **shared,
        ),
        learner=Plasticity(),
    )
    assert cells["rank_order", "srm0", "hebbian"].network == CompetitiveNetwork(
        neuron=SRM0(fires_in_refractory=True), rule=Hebbian(), tie_break="none", **shared
    )
    # 3 lanes (encoders) of 12 programs
    lanes = groups.plan([e.trial for e in cfg.entries])
    assert [len(lane.cells) for lane in lanes] == [12, 12, 12]


# --- defaults


def test_nothing_said_is_all_default():
    cfg = parsed()
    assert (cfg.study, cfg.data, cfg.run, cfg.ann, cfg.published) == ("x", DataConfig(), RunConfig(), None, {})
    (entry,) = cfg.entries
    assert (entry.encoder, entry.neuron, entry.rule, entry.overrides) == ("poisson", "adaptive_lif", "stdp", {})
    assert entry.trial == Trial(
        inputs=Inputs(encoder=ENCODERS["poisson"]),
        network=CompetitiveNetwork(neuron=NEURONS["adaptive_lif"], rule=RULES["stdp"]),
        learner=Plasticity(),
    )


def test_default_thresholds_are_those_that_learn_and_published_ones_stay():
    default = typing.cast(AdaptiveThreshold, NEURONS["adaptive_lif"].adaptation)
    assert (default.theta_plus, default.tau_theta, default.clock) == (0.2, 4e5, "presentation")
    published = typing.cast(AdaptiveThreshold, NEURONS["euler_lif"].adaptation)
    assert (published.theta_0, published.theta_plus, published.tau_theta) == (20.0, 0.05, 1e7)


@pytest.mark.slow
def test_a_study_of_defaults_learns(tmp_path):
    cfg = parsed("[data]\nn_train = 2000\nn_test = 1000\n[run]\nengine = 'event'\ngrid = 'map'")
    (record,) = runs.run(cfg, data.load("mnist_excerpt"), tmp_path / "run", Quiet())
    assert record["readouts"]["all_activity"] >= 0.6


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_that_is_only_named_is_its_registry_entry(name):
    assert only(f'matrix.encoder = ["{name}"]').inputs.encoder == ENCODERS[name]


@pytest.mark.parametrize("name", NEURONS)
def test_a_neuron_that_is_only_named_is_its_registry_entry(name):
    assert only(f'matrix.neuron = ["{name}"]').network.neuron == NEURONS[name]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_only_named_is_its_registry_entry(name):
    assert only(f'matrix.rule = ["{name}"]').network.rule == RULES[name]


@pytest.mark.parametrize("name", INHIBITIONS)
def test_an_inhibition_that_is_only_named_is_its_registry_entry(name):
    trial = only(f'run.dt = 0.5\nnetwork.inhibition.kind = "{name}"')
    assert trial.network.inhibition == INHIBITIONS[name]


def test_run_and_trial_agree_on_defaults():
    """`run.n_steps` and so on, if not given, are those of `Inputs`."""
    inputs, run = Inputs(encoder=Poisson()), RunConfig()
    for field in ("seed", "dt", "n_steps", "batch_size"):
        assert getattr(inputs, field) == getattr(run, field)


def test_data_sets_are_those_there_are():
    hint = typing.get_type_hints(DataConfig)["name"]
    assert typing.get_args(hint) == (*DATASETS, *RECORDINGS)
    assert [parsed(f'data.name = "{name}"').data.name for name in DATASETS] == list(DATASETS)


def test_the_registries_pass_their_own_checks():
    """Every entry, written out as a table, is that entry: its defaults lie in the ranges of its fields."""

    def words(pairs):
        return {key: "none" if value is None else value for key, value in pairs}

    for registry, entries in config.REGISTRIES.items():
        for name, entry in entries.items():
            table = dataclasses.asdict(entry, dict_factory=words)
            assert config.overlay(entry, table, f"{registry}.{name}") == entry


# --- overlays


def test_a_table_lies_over_its_entry_field_by_field():
    trial = only(
        """
        [neuron.adaptive_lif]
        tau_m = 50
        adaptation = { theta_plus = 0.2 }
        [rule.stdp]
        pre_trace = { tau = 5.0 }
        [encoder.poisson]
        intensity = 63.75
        [network]
        w_init = 0.1
        """
    )
    assert trial.network.neuron == LIF(tau_m=50.0, adaptation=AdaptiveThreshold(theta_plus=0.2))
    assert trial.network.rule == STDP(pre_trace=Trace(tau=5.0))
    assert trial.inputs.encoder == Poisson(intensity=63.75)
    assert (trial.network.w_init, trial.network.norm) == (0.1, 78.4)


def test_kind_chooses_the_entry_below_a_name():
    cfg = parsed(
        """
        [matrix]
        neuron = ["fast", "lif"]
        rule = ["stdp"]
        [neuron.fast]
        kind = "srm0"
        tau_m = 10.0
        [rule.stdp]
        kind = "weight_dependent_stdp"
        [network.inhibition]
        kind = "inhibitory_layer"
        strength = 17.0
        neuron = { tau_m = 5.0 }
        """
    )
    fast, lif = (entry.trial.network for entry in cfg.entries)
    assert fast.neuron == SRM0(tau_m=10.0) and lif.neuron == LIF()
    assert fast.rule == WeightDependentSTDP()
    default = InhibitoryLayer()
    assert fast.inhibition == InhibitoryLayer(strength=17.0, neuron=dataclasses.replace(default.neuron, tau_m=5.0))


def test_the_default_inhibition_is_overlaid_without_kind():
    assert only("network.inhibition.strength = 3.0").network.inhibition == DirectInhibition(strength=3.0)


def test_none_turns_off_what_can_be_off_and_a_table_turns_it_on():
    assert only('network.norm = "none"').network.norm is None
    assert only('neuron.adaptive_lif.adaptation = "none"').network.neuron == LIF()
    assert parsed('data = { n_train = "none", n_test = 5 }').data == DataConfig(n_test=5)
    adapting = only('matrix.neuron = ["if"]\n[neuron.if.adaptation]\ntheta_plus = 0.3').network.neuron
    assert adapting == IF(adaptation=AdaptiveThreshold(theta_plus=0.3))
    adapting = only('matrix.neuron = ["if"]\nneuron.if.adaptation = {}').network.neuron
    assert adapting == IF(adaptation=AdaptiveThreshold())


def test_integers_become_floats_and_bounds_may_be_infinite():
    trial = only("run.dt = 2\nneuron.adaptive_lif.v_floor = -70\nrule.stdp.w_min = -inf")
    assert (trial.inputs.dt, type(trial.inputs.dt)) == (2.0, float)
    assert type(trial.network.neuron.v_floor) is float
    assert trial.network.rule.w_min == -math.inf


def test_a_components_network_holds_in_its_cells_only_and_goes_over_the_common_one():
    """Order: [network], then the encoder's, the neuron's, the rule's."""
    cfg = parsed(
        """
        [matrix]
        encoder = ["poisson", "rank_order"]
        neuron = ["if", "lif"]
        rule = ["stdp", "hebbian"]
        [network]
        n_neurons = 7
        w_init = 0.1
        gain = 1.5
        [encoder.rank_order.network]
        gain = 8.0
        w_init = 0.2
        [neuron.lif.network]
        w_init = 0.4
        ghosts = true
        [rule.hebbian.network]
        w_init = 0.5
        """
    )
    seen = {
        (e.encoder, e.neuron, e.rule): (e.trial.network.gain, e.trial.network.w_init, e.trial.network.ghosts)
        for e in cfg.entries
    }
    assert seen == {
        ("poisson", "if", "stdp"): (1.5, 0.1, False),
        ("poisson", "if", "hebbian"): (1.5, 0.5, False),
        ("poisson", "lif", "stdp"): (1.5, 0.4, True),
        ("poisson", "lif", "hebbian"): (1.5, 0.5, True),
        ("rank_order", "if", "stdp"): (8.0, 0.2, False),
        ("rank_order", "if", "hebbian"): (8.0, 0.5, False),
        ("rank_order", "lif", "stdp"): (8.0, 0.4, True),
        ("rank_order", "lif", "hebbian"): (8.0, 0.5, True),
    }
    assert {e.trial.network.n_neurons for e in cfg.entries} == {7}


# --- matrix and sweep


def test_trials_come_in_the_order_in_which_the_study_names_them():
    """Encoders, neurons, rules, then the sweep: the last runs fastest."""
    cfg = parsed(
        """
        [matrix]
        encoder = ["rank_order", "poisson"]
        neuron = ["lif"]
        rule = ["stdp", "hebbian"]
        [sweep.rule]
        eta_post = [0.5, 0.25]
        [sweep.run]
        seed = [3, 1, 2]
        """
    )
    assert [(e.encoder, e.rule, *e.overrides.values()) for e in cfg.entries] == [
        (encoder, rule, eta, seed)
        for encoder in ("rank_order", "poisson")
        for rule in ("stdp", "hebbian")
        for eta in (0.5, 0.25)
        for seed in (3, 1, 2)
    ]
    for entry in cfg.entries:
        assert list(entry.overrides) == ["rule.eta_post", "run.seed"]
        assert entry.trial.network.rule.eta_post == entry.overrides["rule.eta_post"]
        assert entry.trial.inputs.seed == entry.overrides["run.seed"]
        assert entry.trial.inputs.encoder == ENCODERS[entry.encoder]


@pytest.mark.parametrize(
    ("path", "value", "read"),
    [
        ("run.seed", 5, lambda t: t.inputs.seed),
        ("run.dt", 0.5, lambda t: t.inputs.dt),
        ("encoder.intensity", 64, lambda t: t.inputs.encoder.intensity),
        ("neuron.tau_m", 5.0, lambda t: t.network.neuron.tau_m),
        ("neuron.adaptation.theta_plus", 0.3, lambda t: t.network.neuron.adaptation.theta_plus),
        ("rule.eta_pre", 0.0, lambda t: t.network.rule.eta_pre),
        ("rule.pre_trace.tau", 3.0, lambda t: t.network.rule.pre_trace.tau),
        ("network.norm", 20.0, lambda t: t.network.norm),
        ("network.inhibition.strength", 7.0, lambda t: t.network.inhibition.strength),
    ],
)
def test_a_sweep_changes_one_number_and_nothing_else(path, value, read):
    base, trial = only(), only(f"sweep.{path} = [{value}]")
    assert read(base) != read(trial) == value
    assert jax.tree.structure(trial) == jax.tree.structure(base)
    changed = [a != b for a, b in zip(jax.tree.leaves(trial), jax.tree.leaves(base), strict=True)]
    assert sum(changed) == 1


def test_a_sweep_keeps_what_the_tables_say_of_its_neighbours():
    table = "network.inhibition = { kind = 'inhibitory_layer', excitation = 9.0 }"
    trial = only(f"{table}\nsweep.network.inhibition.strength = [7]")
    assert trial.network.inhibition == InhibitoryLayer(excitation=9.0, strength=7.0)
    trial = only("neuron.adaptive_lif.adaptation.theta_plus = 0.2\nsweep.neuron.adaptation.tau_theta = [1e3]")
    assert trial.network.neuron == LIF(adaptation=AdaptiveThreshold(theta_plus=0.2, tau_theta=1e3))


def test_a_sweep_may_choose_programs():
    cfg = parsed("""
        [sweep]
        "run.batch_size" = [1, 16]
        "network.tie_break" = ["none", "furthest"]
    """)
    assert [(e.trial.inputs.batch_size, e.trial.network.tie_break) for e in cfg.entries] == [
        (1, "none"), (1, "furthest"), (16, "none"), (16, "furthest"),
    ]  # fmt: skip
    assert len(groups.plan([e.trial for e in cfg.entries])) == 2  # one for each batch size, as inputs differ


def test_cell_tables_give_cells_numbers_of_their_own():
    """One for each trial; an axis that is left out may be any; cells without a table keep their numbers."""
    cfg = parsed("""
        [matrix]
        neuron = ["lif", "adaptive_lif"]
        rule = ["stdp", "hebbian"]
        [sweep]
        "run.seed" = [0, 1]
        [[cell]]
        neuron = "lif"
        rule = "stdp"
        "rule.eta_post" = 0.5
        [[cell]]
        neuron = "lif"
        rule = "stdp"
        "rule.eta_post" = 0.25
        [[cell]]
        neuron = "adaptive_lif"
        "neuron.adaptation.theta_plus" = 0.125
    """)
    seen = [(e.neuron, e.rule, e.overrides) for e in cfg.entries if e.trial.inputs.seed == 1]
    assert seen == [
        ("lif", "stdp", {"rule.eta_post": 0.5, "run.seed": 1}),
        ("lif", "stdp", {"rule.eta_post": 0.25, "run.seed": 1}),
        ("lif", "hebbian", {"run.seed": 1}),
        ("adaptive_lif", "stdp", {"neuron.adaptation.theta_plus": 0.125, "run.seed": 1}),
        ("adaptive_lif", "hebbian", {"neuron.adaptation.theta_plus": 0.125, "run.seed": 1}),
    ]
    assert [e.trial.network.rule.eta_post for e in cfg.entries[:4]] == [0.5, 0.5, 0.25, 0.25]
    assert cfg.entries[-1].trial.network.neuron.adaptation.theta_plus == 0.125


def test_published_accuracies_belong_to_cells():
    toml = "[published]\nann = 0.88\n[published.poisson.adaptive_lif]\nstdp = 0.79"
    assert parsed(toml).published == {
        ("poisson", "adaptive_lif", "stdp"): 0.79,
        ("none", "relu", "backprop"): 0.88,
    }


# --- --set


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("run.seed=3", 3),
        ("run.dt=0.5", 0.5),
        ("run.dt=1e-3", 1e-3),
        ("network.ghosts=true", True),
        ("run.readout=linear", "linear"),
        ('run.readout="linear"', "linear"),
        ("matrix.rule=['stdp', 'hebbian']", ["stdp", "hebbian"]),
        ("network.inhibition={ strength = 3.0 }", {"strength": 3.0}),
        (" run.seed = 3 ", 3),
        ("a=b=c", "b=c"),
        ("a=", ""),
    ],
)
def test_set_takes_toml_and_bare_words(assignment, value):
    tables = {}
    config.set_path(tables, assignment)
    *above, last = assignment.partition("=")[0].strip().split(".")
    for key in above:
        tables = tables[key]
    assert tables == {last: value} and type(tables[last]) is type(value)


def test_set_goes_over_the_file_and_the_last_one_wins(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('study = "störung"\n[run]\nseed = 1\nn_steps = 5\n', encoding="utf-8")
    cfg = config.load(path, ["run.seed=2", "run.seed=3", "data.n_train=10", "study=y"])
    assert (cfg.study, cfg.run.seed, cfg.run.n_steps, cfg.data.n_train) == ("y", 3, 5, 10)
    assert cfg.tables == {"study": "y", "run": {"seed": 3, "n_steps": 5}, "data": {"n_train": 10}}
    assert config.load(path).study == "störung"


def test_set_of_a_number_that_is_swept_is_refused(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('study = "x"\n[run]\nseed = 1\n[sweep]\nrun.seed = [0, 1]\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"--set run.seed=5: .* sweeps it; write --set 'sweep.run.seed=\[...\]'"):
        config.load(path, ["run.seed=5"])
    assert len(config.load(path, ["sweep.run.seed=[5]"]).entries) == 1
    path.write_text('study = "x"\n[sweep]\n"run.seed" = [0, 1]\n', encoding="utf-8")
    assert len(config.load(path, ["sweep.run.seed=[5]"]).entries) == 1, "another spelling of the same path"
    with pytest.raises(InputError, match="sweeps it"):
        config.load(path, ["run={seed=5}"])


def test_set_of_a_number_that_each_cell_table_gives_is_refused(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('study = "x"\n[[cell]]\n"run.seed" = 3\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"--set run.seed=5: each \[\[cell\]\] has its own"):
        config.load(path, ["run.seed=5"])
    path.write_text('study = "x"\nmatrix.neuron = ["if", "lif"]\n[[cell]]\nneuron = "if"\n"run.seed" = 3\n')
    assert [e.trial.inputs.seed for e in config.load(path, ["run.seed=5"]).entries] == [3, 5]


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('sweep = { "run.seed" = [5, 6], run = { seed = [0] } }', "run.seed is given twice"),
        ('sweep = { "neuron.adaptation" = ["none"], "neuron.adaptation.theta_plus" = [0.1] }', "sweep.neuron.adapt"),
        ('[[cell]]\n"run.seed" = 5\nrun = { seed = 6 }', "run.seed is given twice"),
        ('[[cell]]\n"run.seed" = 5\n[[cell]]\nrun = { seed = 5 }', "cell 2: it is cell 1 again"),
        ('[[cell]]\n"run.seed" = 5\n[sweep]\n"run.seed" = [0, 1]', "cell 1.run.seed: [sweep] has it, too"),
        (
            '[[cell]]\n"neuron.adaptation" = "none"\n[sweep]\n"neuron.adaptation.theta_plus" = [0.1, 0.2]',
            "cell 1.neuron.adaptation: [sweep] has neuron.adaptation.theta_plus, too",
        ),
        (
            '[published]\n"poisson.adaptive_lif.stdp" = 0.5\npoisson = { adaptive_lif = { stdp = 0.6 } }',
            "poisson.adaptive_lif.stdp is given twice",
        ),
    ],
)
def test_a_number_is_given_once(toml, said):
    assert said in refused(toml)


def test_flatten_names_everything_once():
    assert config.flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": {}}) == {"a.b": 1, "a.c.d": [2], "e": {}}


@pytest.mark.parametrize("name", ["x", "a-b_c.d+e", "2020", "störung", "n" * 60])
def test_good_names(name):
    assert config.name_of(name, "study") == name


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "-x", "a/b", "a b", "[x]", "n" * 61, "x\n"])
def test_bad_names(name):
    with pytest.raises(InputError, match="study = .*name of"):
        config.name_of(name, "study")


# --- files, and what is not chosen


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_byte_order_mark_and_ends_of_lines_change_nothing(tmp_path, encoding, newline):
    path = tmp_path / "x.toml"
    path.write_bytes(f'study = "störung"{newline}run.seed = 1{newline}'.encode(encoding))
    cfg = config.load(path)
    assert (cfg.study, cfg.run.seed, cfg.tables) == ("störung", 1, {"study": "störung", "run": {"seed": 1}})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(tmp_path, encoding):
    path = tmp_path / "x.toml"
    path.write_bytes('study = "x"'.encode(encoding))
    if encoding == "utf-16-le":  # no mark, but a 0 after each letter
        assert path.read_bytes()[1] == 0
    with pytest.raises(InputError, match=r"x.toml: it is UTF-16 or UTF-32; it should be UTF-8"):
        config.load(path)


def test_a_file_without_end_is_no_config():
    with pytest.raises(InputError, match="/dev/zero: it should be a study, in a file of at most 1000000 bytes"):
        config.load(Path("/dev/zero"))


def refused(toml: str, *assignments: str) -> str:
    """The one line that a study is refused with."""
    with pytest.raises(InputError) as caught:
        parsed(toml, *assignments)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    return text


def test_huge_integers_and_endless_nesting_are_refused():
    assert "data.n_train = 0x" in refused(f"data.n_train = 0x{'f' * 5000}")
    assert "sweep.run.seed = 9223372036854775808: " in refused(f"sweep.run.seed = [1, {2**63}]")
    assert "nested at most 16 deep" in refused(f"{'a.' * 3000}b = 1")
    assert "nested at most 16 deep" in refused(f"sweep.run.seed = {'[' * 50}1{']' * 50}")


def test_set_takes_one_value():
    tables = {}
    config.set_path(tables, "study=1\nrun.seed = 5")
    config.set_path(tables, f"other={'[' * 10_000}")
    assert tables == {"study": "1\nrun.seed = 5", "other": "[" * 10_000}


NOT_CHOSEN = """
    matrix = { encoder = ["poisson", "mine", "bernoulli"] }
    encoder = { mine = { kind = "poisson", intensity = 5.0 }, bernoulli = { max_probability = 0.5 } }
    [published.mine]
    adaptive_lif = { stdp = 0.5 }
    [published.poisson]
    adaptive_lif = { stdp = 0.25 }
    [[cell]]
    encoder = "mine"
    "rule.eta_post" = 0.5
    [[cell]]
    encoder = "bernoulli"
    "rule.eta_post" = 0.25
"""


def test_what_is_said_of_components_that_are_not_chosen_is_left_aside():
    assert len(parsed(NOT_CHOSEN).entries) == 3 == len(parsed(NOT_CHOSEN, "study=y").entries)
    cfg = parsed(NOT_CHOSEN, 'matrix.encoder=["poisson"]')
    (entry,) = cfg.entries
    assert entry.trial == only() and cfg.published == {("poisson", "adaptive_lif", "stdp"): 0.25}
    assert config.parse(cfg.tables).entries == cfg.entries, "as --resume reads it"
    for path in CONFIGS:
        for axis in config.AXES:
            for name in {getattr(e, axis) for e in config.load(path).entries}:
                entries = config.load(path, [f'matrix.{axis}=["{name}"]']).entries
                assert {getattr(e, axis) for e in entries} == {name}


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("encoder.mien.intensity=3.0", "[encoder.mien] is not in matrix.encoder: unknown encoder 'mien'; do you mean"),
        ("encoder.mine.intensty=3.0", "encoder.mine: unknown key 'intensty'; do you mean 'intensity'?"),
        ("encoder.bernoulli.max_probability=3.0", "encoder.bernoulli.max_probability = 3.0"),
        ('cell=[{ encoder = "mine", "rule.eta_psot" = 1.0 }]', "unknown key 'eta_psot'"),
        ('cell=[{ encoder = "mine", "encoder.intensty" = 1.0 }]', "unknown key 'intensty'"),
        ("encoder.rank_order=3", "encoder.rank_order = 3: it should be a table"),
        ("published.poison.adaptive_lif.stdp=0.5", "published: unknown cell 'poison.adaptive_lif.stdp'"),
        ("published.mine.adaptive_lif.stdp=2", "published.mine.adaptive_lif.stdp = 2"),
    ],
)
def test_but_it_should_make_sense(assignment, said):
    assert said in refused(NOT_CHOSEN, 'matrix.encoder=["poisson"]', assignment)


def test_weights_begin_within_their_bounds():
    raw = "network.norm_at_start = false\n"
    bounds = "it should be from rule.w_min = 0.0 to rule.w_max = 1.0"
    assert f"network.w_init = 2.0: {bounds}" in refused(f"{raw}network.w_init = 2.0")
    assert "rule.w_min = 0.5" in refused(f"{raw}rule.stdp.w_min = 0.5")
    assert only(f"{raw}network.w_init = 2.0\nrule.stdp.w_max = inf").network.w_init == 2.0


def test_test_passes_are_refused_where_some_learn_by_gradients():
    mixed = 'matrix = { neuron = ["lif"], rule = ["stdp", "bptt"] }\nneuron.lif.v_reset = -70.0\n'
    assert len(parsed(mixed).entries) == 2
    assert "run.test_passes has no effect on bptt" in refused(f"{mixed}run.test_passes = 2")
