"""Whatever is wrong with the input, a command says so in one line and with exit code 2, and leaves nothing behind.

The table below is the whole list: what is given, and what the line must hold (where, what is wrong, what would be
right).
"""

import copy
import dataclasses
import datetime
import functools
import json
import os
import random
import re
import struct
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jsnn import data, runs
from jsnn.core import sealed
from jsnn.core.errors import InputError
from jsnn.data import excerpt, idx
from jsnn.grid import groups
from jsnn.runs import config

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
STUDY = """
study = "small"
[data]
name = "mnist_excerpt"
n_train = 60
n_test = 20
[run]
n_steps = 5
[matrix]
encoder = ["poisson", "bernoulli"]
neuron = ["adaptive_lif"]
rule = ["stdp"]
[network]
n_neurons = 4
[published.poisson]
adaptive_lif = { stdp = 0.5 }
[ann]
batch_size = 10
"""


@dataclasses.dataclass
class Case:
    """One bad input: what is given to the command, and three things that its line must hold."""

    name: str
    where: str
    wrong: str
    right: str
    set: str | list[str] = ""  # values of --set
    toml: str = ""  # in place of the study above
    more: str = ""  # after the study above
    given: Callable[[Path], None] | None = None  # what the user finds in the current directory
    arguments: str = "--out out"  # after CONFIG
    config: str = "study.toml"


def image_files(**changes):
    """The four IDX files of a tiny data set in DIR/idx; a change makes a file's bytes from the right ones."""

    def write(directory: Path) -> None:
        rng = np.random.default_rng(0)
        (directory / "idx").mkdir()
        for split, n in (("train", 80), ("test", 30)):
            images = struct.pack(">BBBB3I", 0, 0, 8, 3, n, 28, 28) + rng.integers(0, 256, n * 784, np.uint8).tobytes()
            labels = struct.pack(">BBBB1I", 0, 0, 8, 1, n) + rng.integers(0, 10, n, np.uint8).tobytes()
            for part, content in (("images", images), ("labels", labels)):
                name = f"{split}_{part}"
                content = changes.get(name, lambda content: content)(content)
                if content is not None:
                    (directory / "idx" / idx.FILES[name]).write_bytes(content)

    return write


def labels(values):
    """The content of a file of labels."""
    return struct.pack(">BBBB1I", 0, 0, 8, 1, len(values)) + bytes(values)


def started(results: bytes | None = None, config_json: bytes | None = None):
    """A run of the study above in DIR/out, as one killed at its start leaves it, or with other files in it."""

    def write(directory: Path) -> None:
        cfg = config.load(directory / "study.toml")
        dataset = data.load(cfg.data.name)
        runs.open_run(directory / "out", cfg, runs.fingerprint(dataset, runs.schedule_of(cfg, dataset)), resume=False)
        if results is not None:
            (directory / "out" / "results.jsonl").write_bytes(results)
        if config_json is not None:
            (directory / "out" / "config.json").write_bytes(config_json)

    return write


def line(**changes) -> bytes:
    """A line of results.jsonl, of the first trial of the study above."""
    first = {
        **{"study": "s", "dataset": "mnist_excerpt", "split": "test"},
        **{"encoder": "poisson", "neuron": "adaptive_lif", "rule": "stdp", "seed": 0, "overrides": {}},
        **dict.fromkeys(("n_neurons", "batch_size", "n_steps", "n_train", "n_presentations", "n_assign"), 4),
        **{"n_evaluated": 10, "readout": "linear", "accuracy": 0.1, "readouts": {"linear": 0.1}},
        **{"confusions": {"linear": [[1, 9]]}, "curve": [[4, 0.5]], "neuron_labels": [0]},
        **{"input_spikes": 1.5, "output_spikes": None, "synaptic_operations": 6.0},
    }
    kept = {key: value for key, value in (first | changes).items() if value != "left out"}
    return sealed.dumps(kept).encode() + b"\n"


def file(name: str, content: bytes = b"x"):
    """One file in DIR."""

    def write(directory: Path) -> None:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(content)

    return write


def folder(*names: str, then: Callable[[Path], None] = lambda directory: None):
    """Directories in DIR, after whatever `then` makes."""

    def write(directory: Path) -> None:
        then(directory)
        for name in names:
            (directory / name).unlink(missing_ok=True)
            (directory / name).mkdir(parents=True)

    return write


MNIST, IDX = ["data.name=mnist", "data.n_train=none", "data.n_test=none"], "--out out --data-dir idx"
RESUME = "--out out --resume"
AGAIN = "--resume writes it again"

CASES = [
    # --- keys that do not exist: the nearest that does
    Case("table", "config", "'runs'", "'run'", more="[runs]\n"),
    Case("key of data", "data", "'n_trian'", "'n_train'", "data.n_trian=5"),
    Case("key of run", "run", "'n_step'", "'n_steps'", "run.n_step=5"),
    Case("key of matrix", "matrix", "'encoders'", "'encoder'", 'matrix.encoders=["poisson"]'),
    Case("key of encoder", "encoder.poisson", "'intensty'", "'intensity'", "encoder.poisson.intensty=3.0"),
    Case("key of neuron", "neuron.adaptive_lif", "'taum'", "'tau_m'", "neuron.adaptive_lif.taum=3.0"),
    Case(
        "key of adaptation", "neuron.adaptive_lif.adaptation", "'tau'", "'tau_theta'",
        "neuron.adaptive_lif.adaptation.tau=1.0",
    ),
    Case("key of rule", "rule.stdp", "'eta'", "'eta_pre'", "rule.stdp.eta=0.1"),
    Case("key of trace", "rule.stdp.pre_trace", "'tua'", "'tau'", "rule.stdp.pre_trace.tua=20.0"),
    Case("key of network", "network", "'n_neuron'", "'n_neurons'", "network.n_neuron=5"),
    Case("key of inhibition", "network.inhibition", "'strenght'", "'strength'", "network.inhibition.strenght=5.0"),
    Case(
        "key of inhibitory neuron", "network.inhibition.neuron", "'tau'", "'tau_m'",
        'network.inhibition={ kind = "inhibitory_layer", neuron = { tau = 1.0 } }',
    ),
    Case(
        "key of a neuron's network", "neuron.adaptive_lif.network", "'ghost'", "'ghosts'",
        "neuron.adaptive_lif.network.ghost=true",
    ),
    Case("key of ann", "ann", "'hidden'", "'n_hidden'", "ann.hidden=5"),
    Case(
        "cell of published", "published", "'poisson.adaptive_lif.stpd'", "'poisson.adaptive_lif.stdp'",
        "published.poisson.adaptive_lif.stpd=0.5",
    ),
    # --- names that do not exist
    Case("encoder", "matrix.encoder", "'poison'", "'poisson'", 'matrix.encoder=["poison"]'),
    Case("neuron", "matrix.neuron", "'izhikevich'", "known: adaptive_lif, euler", 'matrix.neuron=["izhikevich"]'),
    Case("kind", "rule.stdp.kind", "'hebb'", "'hebbian'", "rule.stdp.kind=hebb"),
    Case("inhibition kind", "network.inhibition.kind", "'directt'", "'direct'", "network.inhibition.kind=directt"),
    Case("table outside matrix", r"\[neuron.fil\]", "not in matrix.neuron", "known: adaptive_lif", "neuron.fil.dt=3"),
    Case("data set", "data.name", "'emnist'", "'fashion_mnist'", "data.name=emnist"),
    Case("too many winners", "network.n_winners", "= 5", "at most n_neurons = 4", "network.n_winners=5"),
    Case("tie-break", "network.tie_break", "'last'", "'first', 'random' or 'furthest'", "network.tie_break=last"),
    Case("reduction", "network.reduction", "'all'", "'sum', 'mean', 'max' or 'mean_fired'", "network.reduction=all"),
    Case(
        "clock", "adaptation.clock", "'hour'", "'presentation' or 'step'", "neuron.adaptive_lif.adaptation.clock=hour"
    ),
    Case("readout", "run.readout", "'svm'", "'proportion_weighting', 'naive_bayes', 'linear'", "run.readout=svm"),
    # --- types
    Case("string for number", "run.n_steps", "'many'", "valid integer", "run.n_steps=many"),
    Case("number for table", "config|run", "3", "a table", "run=3"),
    Case("string for table", "network.inhibition", "'direct'", "a table", "network.inhibition=direct"),
    Case("word for component", "neuron.adaptive_lif", "'lif'", "a table", "neuron.adaptive_lif=lif"),
    Case("number for a network", "rule.stdp.network", "3", "a table", "rule.stdp.network=3"),
    Case("none for what cannot be off", "rule.stdp.pre_trace", "'none'", "a table", "rule.stdp.pre_trace=none"),
    Case("bool for float", "run.dt", "True", "valid number", "run.dt=true"),
    Case("bool for int", "run.seed", "False", "valid integer", "run.seed=false"),
    Case("float for int", "run.n_steps", "10.0", "valid integer", "run.n_steps=10.0"),
    Case("int for bool", "network.ghosts", "1", "valid boolean", "network.ghosts=1"),
    Case("list for scalar", "network.w_init", r"\[0.3\]", "valid number", "network.w_init=[0.3]"),
    Case("date for number", "rule.stdp.eta_pre", "date", "valid number", "rule.stdp.eta_pre=2020-01-01"),
    Case("list for kind", "rule.stdp.kind", r"\['hebbian'\]", "valid string", 'rule.stdp.kind=["hebbian"]'),
    Case("string for matrix", "matrix.encoder", "'poisson'", "valid list", "matrix.encoder=poisson"),
    Case("numbers in matrix", "matrix.encoder", r"\[1\]", "valid string", "matrix.encoder=[1]"),
    Case("number for study", "study", "3", "valid string", "study=3"),
    Case("long list", r"run.dt = \[0, 0, [0, ]*\.\.\.:", "0", "valid number", f"run.dt={[0] * 5000}"),
    # --- numbers out of range
    Case("negative seed", "run.seed", "-1", "greater than or equal to 0", "run.seed=-1"),
    Case("huge seed", "run.seed", "2147483648", "at most|equal to 2147483647", "run.seed=2147483648"),
    Case("zero step", "run.dt", "0", "greater than 0", "run.dt=0"),
    Case("nan", "run.dt", "nan", "finite number", "run.dt=nan"),
    Case("infinite", "rule.stdp.eta_post", "inf", "finite number", "rule.stdp.eta_post=inf"),
    Case("negative rate", "rule.stdp.eta_post", "-0.1", "greater than or equal to 0", "rule.stdp.eta_post=-0.1"),
    Case("negative time", "neuron.adaptive_lif.tau_m", "-1.0", "greater than 0", "neuron.adaptive_lif.tau_m=-1.0"),
    Case(
        "probability", "encoder.bernoulli.max_probability", "1.5", "less than or equal to 1",
        "encoder.bernoulli.max_probability=1.5",
    ),
    Case("beyond float32", "network.w_init", "1e.300", "less than or equal to 10", "network.w_init=1e300"),
    Case("beyond float64", "network.w_init", "1000", "valid number", f"network.w_init=1{'0' * 400}"),
    Case("nan as a bound", "neuron.v_floor", "nan", "less than v_threshold", "neuron.adaptive_lif.v_floor=nan"),
    Case("n_train 0", "data.n_train", "0", "greater than or equal to 1", "data.n_train=0"),
    Case("n_train negative", "data.n_train", "-5", "greater than or equal to 1", "data.n_train=-5"),
    Case("n_train too large", "data.n_train", "10001", "at most 10000", "data.n_train=10001"),
    Case("n_test too large", "data.n_test", "2001", "at most 2000", "data.n_test=2001"),
    Case("n_assign 0", "data.n_assign", "0", "greater than or equal to 1", "data.n_assign=0"),
    Case("n_assign too large", "data.n_assign", "61", "at most data.n_train = 60", "data.n_assign=61"),
    Case("n_assign above all", "data.n_assign", "10001", "at most 10000", ["data.n_train=none", "data.n_assign=10001"]),
    Case("no presentations", "run.epochs", "0", "greater than or equal to 1", "run.epochs=0"),
    Case("no steps", "run.n_steps", "0", "greater than or equal to 1", "run.n_steps=0"),
    Case("no neurons", "network.n_neurons", "0", "greater than or equal to 1", "network.n_neurons=0"),
    Case("other pixels", "network.n_input", "100", "784", "network.n_input=100"),
    Case("batch above n_train", "run.batch_size", "61", "at most data.n_train = 60", "run.batch_size=61"),
    Case("batch above all", "run.batch_size", "10001", "at most 10000", ["data.n_train=none", "run.batch_size=10001"]),
    Case("ann rate", "ann.learning_rate", "0", "greater than 0", "ann.learning_rate=0"),
    Case("ann batch", "ann.batch_size", "61", "at most 60", "ann.batch_size=61"),
    Case("endless", "run.epochs", "100000000", "at most 35791394", "run.epochs=100000000"),
    Case("too many steps", "run.n_steps = 1000000000", "needs .* GB", "fit into", "run.n_steps=1000000000"),
    Case("too many neurons", "network.n_neurons = 10", "needs .* GB", "fit into", f"network.n_neurons={10**12}"),
    Case("ann beyond memory", "ann.n_hidden", "needs .* GB", "fit into", f"ann.n_hidden={10**12}"),
    Case("published accuracy", "published.ann", "88", "less than or equal to 1", "published.ann=88"),
    # --- relations
    Case("weights", "rule.w_min", "2.0", "less than w_max = 1.0", "rule.stdp.w_min=2.0"),
    Case(
        "potentials", "neuron.v_reset", "-52.0", "less than v_threshold = -52.0", "neuron.adaptive_lif.v_reset=-52.0"
    ),
    Case(
        "inhibitory potentials", "network.inhibition.neuron.v_reset", "0.0", "less than v_threshold = -40.0",
        'network.inhibition={ kind = "inhibitory_layer", neuron = { v_reset = 0.0 } }',
    ),
    Case(
        "conductances of another neuron", "network.synapse", "euler_lif", "no other",
        'network.synapse={ kind = "conductance" }',
    ),
    Case(
        "conductances quicker than a step", "network.synapse.tau_excitatory", "1.0", "more than run.dt = 1.0",
        ['network.synapse={ kind = "conductance" }', 'matrix.neuron=["euler_lif"]'],
    ),
    Case(
        "a batch shown again", "run.batch_size", "16", "1 with run.again", ["run.again={}", "run.batch_size=16"]
    ),
    Case(
        "delays in lockstep", "run.batch_size", "16", "1 with network.longest_delay",
        ["network.longest_delay=3", "run.batch_size=16"],
    ),
    Case("too long a delay", "network.longest_delay", "32", "less than or equal to 31", "network.longest_delay=32"),
    Case("negative rest", "run.rest", "-1", "greater than or equal to 0", "run.rest=-1"),
    Case("unknown synapse", "network.synapse", "'alpha'", "known: conductance, delta", 'network.synapse.kind="alpha"'),
    # --- matrix and sweep
    Case("twice in matrix", "matrix.rule", "'stdp', 'stdp'", "each once", 'matrix.rule=["stdp", "stdp"]'),
    Case("empty matrix", "matrix.rule", r"\[\]", "one or more names", "matrix.rule=[]"),
    Case(
        "name with a slash", "matrix.neuron", "'a/b'", "at most 60 letters",
        ['matrix.neuron=["a/b"]', "neuron.a/b.kind=lif"],
    ),
    Case("empty sweep", "sweep", "empty", r"run.seed = \[0, 1\]", more="[sweep]\n"),
    Case("sweep of nothing", "sweep.run.seed", r"\[\]", "one or more values", "sweep.run.seed=[]"),
    Case("sweep of an empty table", "sweep.run", "{}", "list of one or more values", more="[sweep.run]\n"),
    Case("sweep that is no list", "sweep.run.seed", "5", "a list", "sweep.run.seed=5"),
    Case("sweep of tables", "network.inhibition", "{.*}", "or a word", "sweep.network.inhibition=[{ strength = 1 }]"),
    Case("sweep of unknown table", "sweep", "'data.n_train'", "run.<number>", "sweep.data.n_train=[1, 2]"),
    Case("sweep of unknown number", "sweep.rule", "'eta'", "'eta_pre'", "sweep.rule.eta=[1.0]"),
    Case("sweep of windows", "sweep.run", "'curve_points'", "known: .*seed", "sweep.run.curve_points=[1, 2]"),
    Case("sweep twice", "sweep.run.seed", r"\[0, 1, 0\]", "each once", "sweep.run.seed=[0, 1, 0]"),
    Case("cell of nothing", "cell 1: neuron", "'fil'", "known: adaptive_lif", more='[[cell]]\nneuron = "fil"\n'),
    Case("cell's number", "cell.rule", "'eta'", "'eta_pre'", more='[[cell]]\n"rule.eta" = 1.0\n'),
    Case("cells that are no tables", "cell", "list", "list", "cell=3"),
    Case("batch in a sweep", "run.batch_size", "61", "at most data.n_train = 60", "sweep.run.batch_size=[1, 61]"),
    Case("sweep out of range", "sweep.rule.eta_post", "nan", "finite", "sweep.rule.eta_post=[0.1, nan]"),
    # --- files and --set
    Case("no such config", "nowhere.toml", "No such file", "configs/", config="nowhere.toml"),
    Case("config is a directory", "cannot read the config", "Is a directory", "configs/", config="."),
    Case("not TOML", "study.toml", "not TOML", "line 2", toml='study = "small"\nrun: 3\n'),
    Case("not UTF-8", "latin.toml", "not TOML", "utf-8", config="latin.toml", given=file("latin.toml", b'a = "\xe9"')),
    Case("long number", "study.toml", "not TOML", "4300", toml=f"study = 1{'0' * 5000}"),
    Case("no name", "config", "no name", 'study = "..."', toml="[run]\nseed = 1\n"),
    Case("name of a parent", "study", "'../x'", "letters, digits", "study=../x"),
    Case("empty name", "study", "''", "letters, digits", "study="),
    Case("hidden name", "study", "'.x'", "letters, digits", "study=.x"),
    Case("two lines", "study", r"'a\\nb'", "letters, digits", 'study="a\\nb"'),
    Case("--set without value", "--set", "run.seed", "dotted.path=value", "run.seed"),
    Case("--set without path", "--set", "=3", "dotted.path=value", "=3"),
    Case("--set below a number", "--set", "n_steps = 5", "a table", "run.n_steps.x=3"),
    # --- data
    Case(
        "no IDX file", "idx/train-images-idx3-ubyte", "begins with 00 01 08 03", "should begin with 00 00 08 03",
        MNIST, given=image_files(train_images=lambda b: b"\0\1" + b[2:]), arguments=IDX,
    ),
    Case(
        "truncated", "idx/t10k-images-idx3-ubyte", "23519 bytes", "declares 30 x 28 x 28 = 23520",
        MNIST, given=image_files(test_images=lambda b: b[:-1]), arguments=IDX,
    ),
    Case(
        "mislabelled", "idx/train-images-idx3-ubyte", "holds labels", "where images are expected",
        MNIST, given=image_files(train_images=lambda b: labels([1] * 80)), arguments=IDX,
    ),
    Case(
        "lengths", "idx/train-labels-idx1-ubyte", "80 images but .* 79 labels", "one label for each",
        MNIST, given=image_files(train_labels=lambda b: labels([1] * 79)), arguments=IDX,
    ),
    Case(
        "label out of range", "idx/train-labels-idx1-ubyte", "label 10 at position 2", "0 to 9",
        MNIST, given=image_files(train_labels=lambda b: labels([1, 2, 10] * 20 + [0] * 20)), arguments=IDX,
    ),
    Case(
        "missing file", "idx", "no t10k-labels-idx1-ubyte", "the four IDX files",
        MNIST, given=image_files(test_labels=lambda b: None), arguments=IDX,
    ),
    Case("no such directory", "nowhere", "No such file", "the four IDX files", MNIST, arguments="--data-dir nowhere"),
    Case("directory for the excerpt", "mnist_excerpt", "idx", "ask for mnist", given=image_files(), arguments=IDX),
    Case("no network", "mnist", "cannot download", "--data-dir", MNIST),
    # --- the run's directory
    Case("run there", "out", "already holds a run", "--resume", given=started()),
    Case("not a run", "out", "holds no run", "another --out", given=file("out/x")),
    Case("out is a file", "out", "Not a directory", "should be a directory", given=file("out")),
    Case("out is a file, resumed", "out", "Not a directory", "be a directory", given=file("out"), arguments=RESUME),
    Case(
        "out below a file", "file/out", "Not a directory", "choose another",
        given=file("file"), arguments="--out file/out",
    ),
    Case("out too long", "--out", "name too long", "choose another --out", arguments=f"--out {'x' * 300}"),
    Case(
        "another study", "--resume: network.n_neurons", "is 8 now and was 4", "put that back", "network.n_neurons=8",
        given=started(), arguments=RESUME,
    ),
    Case(
        "more of a study", "--resume: run.dt", "was not set", "put that back", "run.dt=2.0",
        given=started(), arguments=RESUME,
    ),
    *(
        Case(
            f"config.json: {what}", "out/config.json", "damaged", "another --out",
            given=started(None, content), arguments=RESUME,
        )
        for what, content in {
            "empty": b"", "cut": b'{"tables": {', "binary": b"\xff\xfe", "list": b"[]", "other": b'{"tables": 3}',
        }.items()
    ),
    Case(
        "config.json is a directory", "out/config.json", "Is a directory", "the config of a run",
        given=folder("out/config.json"), arguments=RESUME,
    ),
    *(
        Case(
            f"results.jsonl: {what}", f"out/results.jsonl:{number}", wrong, AGAIN,
            given=started(content), arguments=RESUME,
        )
        for what, number, wrong, content in [
            ("cut", 2, "not a JSON object", line() + line()[:-9]),
            ("binary", 1, "not a JSON object", b"\xff\xfe\n"),
            ("number", 1, "not a JSON object", b"3\n"),
            ("another order", 1, "'encoder': 'poisson'", line(encoder="bernoulli") + line()),
            ("brackets", 1, "not a JSON object", b"[" * 100_000),
            ("nested", 1, "not a JSON object", b'{"a":' * 100_000),
            ("an infinite number", 1, "not a JSON object", b'{"a": Infinity}\n'),
            ("a huge number", 1, "not a JSON object", b'{"a": 1e999}\n'),
            ("a digit changed", 1, "its checksum does not hold", line().replace(b": 0.1,", b": 0.9,", 1)),
            ("old", 1, "it has no checksum, as of an older jsnn", b'{"study": "s"}\n'),
            ("nothing", 1, "it has no study", sealed.dumps({}).encode()),
            ("no confusions", 1, "it has no confusions", line(confusions="left out")),
            ("a word for a number", 2, "accuracy = 'high'", line() + line(accuracy="high")),
            ("another accuracy", 1, "confusion matrix has 1 right of 10", line(accuracy=0.2, readouts={"linear": 0.2})),
            ("an empty confusion", 1, "confusion matrix has 0 right of 0", line(confusions={"linear": []})),
            ("other read-outs", 1, "readouts, confusions: ", line(readouts={"argmax": 0.1})),
            ("accuracy of none", 1, "that of readouts.linear", line(accuracy=0.3)),
        ]
    ),
    Case("results.jsonl: too long", "out/results.jsonl", "4 lines", AGAIN, arguments=RESUME, given=started(
        line() + line(encoder="bernoulli") + line(encoder="none", neuron="relu", rule="backprop") * 2
    )),
    Case(
        "results.jsonl is a directory", "out/results.jsonl", "Is a directory", "results file of a run",
        given=folder("out/results.jsonl", then=started()), arguments=RESUME,
    ),
]  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current directory; caches elsewhere; no network."""
    for variable, value in {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "xla"),
        "JSNN_CACHE": str(tmp_path / "cache"),
        "TFDS_DATA_DIR": str(tmp_path / "tfds"),
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    }.items():
        monkeypatch.setenv(variable, value)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def matrix(monkeypatch):
    """experiments/matrix.py, to be called in this process; the excerpt is unpacked once."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    monkeypatch.setattr(excerpt, "read", unpacked)
    import console
    import matrix

    def run(arguments):
        monkeypatch.setattr(sys, "argv", ["matrix.py", *arguments])
        console.command(matrix.main)

    return run


unpacked = functools.cache(excerpt.read)


def prepare(case: Case, directory: Path) -> list[str]:
    """The arguments of a case, after its files were made."""
    (directory / "study.toml").write_text(case.toml or STUDY + case.more)
    if case.given is not None:
        case.given(directory)
    sets = [case.set] if isinstance(case.set, str) and case.set else case.set
    return [case.config, *(part for value in sets for part in ("--set", value)), *case.arguments.split()]


def contents(directory: Path) -> dict[str, bytes | None]:
    """All files and directories below a directory."""
    return {str(p): p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}


def assert_one_line(case: Case, error: str) -> None:
    assert error.startswith("error: ") and error.endswith("\n") and error.count("\n") == 1, error
    for part in (case.where, case.wrong, case.right):
        assert re.search(part, error), f"{part!r} is not in {error!r}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(case, here, matrix, capsys):
    arguments = prepare(case, here)
    before = contents(here)
    with pytest.raises(SystemExit) as exit:
        matrix(arguments)
    assert exit.value.code == 2
    assert_one_line(case, capsys.readouterr().err)
    assert contents(here) == before


@pytest.mark.parametrize("name", ["negative seed", "out below a file"])
def test_bad_input_in_its_own_process(name, here):
    case = next(case for case in CASES if case.name == name)
    arguments = prepare(case, here)
    before = contents(here)
    command = [sys.executable, str(EXPERIMENTS / "matrix.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(EXPERIMENTS.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert_one_line(case, done.stderr)
    assert contents(here) == before


def test_no_network_is_told_within_ten_seconds(here, matrix, capsys):
    import tensorflow_datasets  # noqa: F401  (seconds on a busy machine, and none of them the network's)

    arguments = prepare(Case("no network", "mnist", "cannot download", "--data-dir", MNIST), here)
    began = time.monotonic()
    with pytest.raises(SystemExit):
        matrix(arguments)
    assert time.monotonic() - began < 10
    assert "cannot download" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [([], "required: CONFIG"), (["study.toml", "--sett", "run.seed=1"], "unrecognized arguments: --sett")],
)
def test_bad_arguments(arguments, reason, here, matrix, capsys):
    """argparse says how a command is used before it says what is wrong, which is its last line."""
    with pytest.raises(SystemExit) as exit:
        matrix(arguments)
    assert exit.value.code == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]
    assert not contents(here)


VALUES = [
    0, -1, 3, 2**31, 10**30, 10**400, 1.5, 1e300, float("nan"), float("-inf"), True, "", "none", "lif", "../x", "a\nb",
    [], [1], [[1]], ["stdp", "stdp"], [{}], {}, {"kind": "lif"}, {"kind": [1]}, {"x": 1}, {"network": {"norm": "none"}},
    {"a": {"b": {}}}, datetime.date(2020, 1, 1), datetime.time(1),
]  # fmt: skip
KEYS = [
    "", "x", "a\nb", "kind", "network", "neuron", "encoder", "inhibition", "adaptation", "n_neurons", "norm", "seed",
    "dt", "batch_size", "v_floor", "pre_trace", "run", "sweep", "ann", "study", "run.seed", "network.norm", "rule.stdp",
]  # fmt: skip


def places(table, path=()):
    """The paths of everything in nested tables and lists, the whole first."""
    yield path
    items = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def mutated(tables, rng):
    """Tables with one to three things replaced, removed, added or renamed."""
    tables = copy.deepcopy(tables)
    for _ in range(rng.choice([1, 1, 2, 3])):
        *above, last = rng.choice(list(places(tables))[1:])
        parent = functools.reduce(lambda t, key: t[key], above, tables)
        value = copy.deepcopy(rng.choice(VALUES))
        match rng.choice(["replace", "remove", "add", "rename"]):
            case "remove":
                del parent[last]
            case "add" if isinstance(parent[last], dict):
                parent[last][rng.choice(KEYS)] = value
            case "add" if isinstance(parent[last], list):
                parent[last].append(value)
            case "rename" if isinstance(parent, dict):
                parent[rng.choice(KEYS)] = parent.pop(last)
            case _:
                parent[last] = value
    return tables


def test_any_tables_are_a_study_or_an_input_error():
    """Random changes of a study's tables, some still a study that can be planned, the others an InputError."""
    tables = tomllib.loads(STUDY) | {
        "sweep": {"run": {"seed": [0, 1]}, "rule": {"eta_post": [0.1]}},
        "rule": {"stdp": {"pre_trace": {"tau": 3.0}}},
    }
    tables["network"]["inhibition"] = {"kind": "inhibitory_layer", "neuron": {"tau_m": 3.0}, "strength": 3.0}
    rng, studies = random.Random(0), 0
    for _ in range(300):
        changed = mutated(tables, rng)
        try:
            cfg = config.parse(copy.deepcopy(changed))
        except InputError as error:
            assert str(error)
            continue
        except Exception as error:
            raise AssertionError(f"{error!r} for {changed}") from error
        studies += 1
        json.dumps(cfg.tables)
        if studies % 8 == 0:
            assert sum(len(cell.index) for lane in groups.plan([e.trial for e in cfg.entries]) for cell in lane.cells)
    assert 30 < studies < 270
