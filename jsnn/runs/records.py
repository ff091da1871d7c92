"""The lines of results.jsonl: what a trial was, what came of it, what it cost, and where it was run."""

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jsnn
from jsnn import readouts
from jsnn.data import Dataset
from jsnn.grid.groups import Schedule
from jsnn.learners import ann
from jsnn.runs.config import Config, Entry


class CompileClock:
    """Seconds that XLA has spent compiling (tracing apart), from JAX's own monitoring events."""

    def __init__(self) -> None:
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.seconds += duration_secs


def environment() -> dict[str, Any]:
    """What a record says of where it was made."""
    device = jax.devices()[0]
    return {
        "jsnn": jsnn.__version__,
        "jax": version("jax"),
        "device": device.device_kind,
        "git_commit": git_commit(Path(jsnn.__file__).parent),
    }


def git_commit(package: Path) -> str | None:
    """The commit of the repository that tracks the files of a package, "-dirty" after it where they were changed; None
    where none does: one that the package is installed into is not its own.
    """

    def git(*arguments: str) -> str:
        own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}  # of a hook that runs us
        own["GIT_OPTIONAL_LOCKS"] = "0"  # it only reads
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=own).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("rev-parse", "--short=12", "HEAD") + "-dirty" * bool(git("status", "--porcelain", "--", "."))
    except (OSError, subprocess.CalledProcessError):  # no git here, or no repository, or it does not know the files
        return None


def hashes(tables: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, str]:
    """What states and lines of results say of the study they are of: the first 12 digits of the SHA-256 of its tables,
    and of that of its data (`Dataset.fingerprint`).
    """
    config_hash = hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()
    return {"config_hash": config_hash[:12], "data_hash": data["sha256"][:12]}


def record(
    cfg: Config,
    entry: Entry,
    data: Dataset,
    schedule: Schedule,
    answers: dict[str, Any],
    curve: Sequence[tuple[int, float]],
    where: dict[str, Any],
) -> dict[str, Any]:
    """The line of results.jsonl of one trial: `answers` is what its kind has to say of its trained network's answers
    (`jsnn.learners.learner.Learner.answers`), `where` its clock readings, its environment and its `hashes`.
    """
    inputs = entry.trial.inputs
    return {
        "study": cfg.study,
        "dataset": data.name,
        "split": data.split,
        **identity(entry),
        "n_neurons": entry.trial.network.n_neurons,
        "batch_size": inputs.batch_size,
        "n_steps": inputs.n_steps,
        "n_train": schedule.n_train,
        "n_evaluated": schedule.n_test,
        **answers,
        "curve": [list(point) for point in curve],
        **where,
    }


def ann_record(cfg: Config, data: Dataset, schedule: Schedule, where: dict[str, Any], clock: bool) -> dict[str, Any]:
    """Train the ANN of the study and make its line, in the words of the other lines."""
    assert cfg.ann is not None
    compiled, began = CompileClock(), time.perf_counter()
    predictions, curve = ann.train(cfg.ann, data, schedule.n_train, schedule.n_test, lambda n: None)
    seconds = time.perf_counter() - began
    labels = data.test_labels[: schedule.n_test]
    confusion = np.asarray(readouts.confusion(jnp.asarray(labels), jnp.asarray(predictions), data.n_classes)).tolist()
    accuracy = float(np.mean(predictions == labels))
    n_presentations, n_input = curve[-1][0], data.train_images.shape[1]
    times = {
        "presentations_per_second": n_presentations / max(seconds - compiled.seconds, 1e-9),
        "compile_seconds": compiled.seconds,
        "run_seconds": seconds,
    }
    return {
        "study": cfg.study,
        "dataset": data.name,
        "split": data.split,
        "encoder": "none",
        "neuron": "relu",
        "rule": "backprop",
        "seed": cfg.ann.seed,
        "n_neurons": cfg.ann.n_hidden,
        "batch_size": cfg.ann.batch_size,
        "n_steps": 1,
        "n_train": schedule.n_train,
        "n_presentations": n_presentations,
        "n_evaluated": schedule.n_test,
        "n_assign": 0,
        "readout": "argmax",
        "accuracy": accuracy,
        "readouts": {"argmax": accuracy},
        "confusions": {"argmax": confusion},
        "curve": [list(point) for point in curve],
        "overrides": {},
        "neuron_labels": None,
        "input_spikes": None,
        "output_spikes": None,
        "synaptic_operations": float(cfg.ann.n_hidden * (n_input + data.n_classes)),  # multiply-accumulates
        **(times if clock else {}),
        **where,
    }


def is_of(line: Mapping[str, Any], entry: Entry) -> bool:
    """Whether a line of results.jsonl is of this trial."""
    return line.items() >= identity(entry).items()


def identity(entry: Entry) -> dict[str, Any]:
    """The part of a line of results.jsonl that says which trial of its study it is."""
    return {
        "encoder": entry.encoder,
        "neuron": entry.neuron,
        "rule": entry.rule,
        "seed": entry.trial.inputs.seed,
        "overrides": {path: value for path, value in entry.overrides.items() if path != "run.seed"},
    }
