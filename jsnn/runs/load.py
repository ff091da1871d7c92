"""A trained network back from the directory of a run, and a trial from the names that a config would have."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jsnn import runs
from jsnn.core import files
from jsnn.core.errors import InputError
from jsnn.engines.stimulus import Inputs
from jsnn.grid.groups import Trial
from jsnn.networks.competitive import CompetitiveNetwork, Learned
from jsnn.networks.feedforward import Feedforward
from jsnn.runs import config

PARTS = (*config.AXES, "network", "run")  # what a dotted setting of `trial` begins with


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """One trained network of a run, and what the run measured of it."""

    network: Any  # CompetitiveNetwork, or Feedforward
    inputs: Inputs  # encoder, seed, steps: what it was shown, and how
    state: Any  # Learned; for a network that was trained by gradients its parameters and the optimiser's state
    accuracy: float  # share of the test images that are answered rightly, by the read-out `readout`
    readout: str  # the read-out of the run
    readouts: Mapping[str, float]  # the accuracy of each read-out
    confusion: np.ndarray  # int[n_classes, n_classes + 1]: rows are true classes, the last column is "no answer"
    curve: np.ndarray  # float[n_points, 2]: images seen, accuracy since the point before
    labels: np.ndarray | None  # int[n_neurons]: the class of each neuron, -1 for a silent one; None: by gradients
    settings: Mapping[str, Any]  # the tables of the study's config
    record: Mapping[str, Any]  # its line of results.jsonl

    @property
    def weights(self) -> Any:
        """The weights: mV, [n_input, n_neurons]; for a network that was trained by gradients those of each layer."""
        return self.state.weights if isinstance(self.state, Learned) else self.state.params


def load(
    path: str | Path,
    *,
    encoder: str | None = None,
    neuron: str | None = None,
    rule: str | None = None,
    seed: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> LoadedNetwork:
    """Load a trained network from the directory of a run.

    Of a run of several trials, the arguments say which one; of those that match, it is the first of the study.

    Args:
        path: The directory of the run, such as "checkpoints/headline".
        encoder: The name of its encoder.
        neuron: The name of its neuron.
        rule: The name of its rule.
        seed: Its seed.
        overrides: Its values of swept numbers, by path: {"rule.eta_post": 0.02}.

    Returns:
        The network, its inputs, what it has learned, its accuracy and the settings of the run.

    Raises:
        InputError: There is no run, no finished trial that matches, or its state is missing or damaged.

    Example:
        >>> jsnn.load("checkpoints/headline", seed=3).weights.shape
        (784, 100)
    """
    out = files.expanded(path)

    def warn(message: str) -> None:
        warnings.warn(message, stacklevel=3)

    asked = {"encoder": encoder, "neuron": neuron, "rule": rule, "seed": seed}
    asked = {key: value for key, value in asked.items() if value is not None}
    line = _line_of(out, asked, overrides or {}, runs.read_lines(out, warn))
    trained = runs.load_trained(out, warn, [line])
    for message in trained.unfinished:
        warn(message)
    trial, state = runs.network_of(trained, line)
    labels = line["neuron_labels"]
    return LoadedNetwork(
        network=trial.network,
        inputs=trial.inputs,
        state=jax.tree.map(jnp.asarray, state),
        accuracy=line["accuracy"],
        readout=line["readout"],
        readouts=line["readouts"],
        confusion=np.asarray(line["confusions"][line["readout"]]),
        curve=np.asarray(line["curve"], float).reshape(-1, 2),
        labels=None if labels is None else np.asarray(labels),
        settings=trained.cfg.tables,
        record=line,
    )


def _line_of(
    out: Path, asked: Mapping[str, Any], overrides: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """The first of a run's lines that is of what is asked for. Raises InputError where there is none."""
    lines = [line for line in lines if line["encoder"] != "none"]
    if not lines:
        raise InputError(f"{out} has no finished trial; go on with --resume first")
    for key, value in asked.items():
        known = sorted({line[key] for line in lines})
        if value not in known:
            raise InputError(f"{out} has no trial with {key} = {value!r}; it has {', '.join(map(str, known))}")
    for line in lines:
        if line.items() >= asked.items() and line["overrides"].items() >= overrides.items():
            return line
    values = {f"{path} = {value}" for line in lines for path, value in line["overrides"].items()}
    raise InputError(f"{out} has no trial of {dict(asked) | dict(overrides)}; its trials differ in {sorted(values)}")


def trial(encoder: str = "poisson", neuron: str = "adaptive_lif", rule: str = "stdp", **settings: Any) -> Trial:
    """The trial that a config of these words means: its network and its inputs.

    Args:
        encoder: The name of an encoder: a key of `jsnn.encoders.ENCODERS`.
        neuron: The name of a neuron: a key of `jsnn.neurons.NEURONS`.
        rule: The name of a rule, a key of `jsnn.rules.RULES`, or of a learner that follows gradients, such as "bptt".
        **settings: What the config says beside it. A field of the network (`n_neurons=100`) or of the inputs
            (`n_steps=50`, `seed=3`) by its name; a number of a component by its path: `**{"rule.eta_post": 0.02}`.

    Returns:
        A trial: `.network` and `.inputs` are what `jsnn.simulate` and `jsnn.fit` take.

    Raises:
        InputError: An unknown name, or a value out of its range: the sentence that the config would get.

    Example:
        >>> trial = jsnn.trial("poisson", "adaptive_lif", "stdp", n_neurons=100)
        >>> jsnn.fit(trial.network, trial.inputs, digits)
    """
    names = dict(zip(config.AXES, (encoder, neuron, rule), strict=True))
    tables: dict[str, Any] = {"study": "trial", "matrix": {axis: [name] for axis, name in names.items()}}
    of_network = {field.name for kind in (CompetitiveNetwork, Feedforward) for field in dataclasses.fields(kind)}
    known = (of_network - set(config.AXES)) | set(config.SHOWN)
    for key, value in settings.items():
        part, dot, rest = key.partition(".")
        if dot and part in PARTS:
            place = [part, names[part], *rest.split(".")] if part in names else [part, *rest.split(".")]
        elif key in known:
            place = ["run" if key in config.SHOWN else "network", key]
        else:
            raise config.unknown("setting", key, known, "trial")
        table = tables
        for name in place[:-1]:
            table = table.setdefault(name, {})
        table[place[-1]] = value
    return config.parse(tables).entries[0].trial
