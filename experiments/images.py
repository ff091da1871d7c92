"""Which images a command shows to the networks of a run that it reads: the run's own, or none."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console import read_data

from jsnn import data, runs
from jsnn.core.errors import InputError
from jsnn.data import SPLITS, Dataset
from jsnn.runs.config import Config

STANDS_IN = "the embedded excerpt of MNIST, as --data-dir does not say where the run's own images are"


def of_run(run: Path, cfg: Config, of: Mapping[str, Any], data_dir: Path | None, split: str | None = None) -> Dataset:
    """The images that a run was trained and evaluated on, by their fingerprint `of`; `split` asks for its test images
    instead of those that it held out. Where there is no `data_dir`, networks of MNIST are shown the embedded excerpt.

    Raises InputError where they are not at hand, or others.
    """
    name = of["name"]
    if name not in (*data.DATASETS, *data.RECORDINGS):
        raise InputError(
            f"{run} is of a data set of its own, {name!r}, which no command can read; show it to its networks from "
            "Python (jsnn.runs.load_trained, jsnn.learners.plasticity.evaluation)"
        )
    if split == "validation" and of["split"] != split:
        raise InputError(f"--split validation: {run} held no training images out; leave it out, or ask for test")
    stands_in = data_dir is None and name == "mnist"
    if stands_in and split == "validation":
        raise InputError(f"--split validation: --data-dir should hold the files of {name}: {run} held some of them out")
    if stands_in:
        excerpt = data.load("mnist_excerpt")
        same(run, of, excerpt.fingerprint(1, 1), ("shape", "n_classes"), excerpt.name)
        return excerpt
    if data_dir is None and name != "mnist_excerpt":
        raise InputError(f"{run} is of {name} and is shown nothing else: --data-dir should hold the files of {name}")
    cfg = dataclasses.replace(cfg, data=dataclasses.replace(cfg.data, name=name))
    own = read_data(cfg, data_dir)
    same(run, of, runs.fingerprint(own, runs.schedule_of(cfg, own)), tuple(of), f"the {name} in {data_dir}")
    if split == "test" and own.n_held_out:
        whole = read_data(dataclasses.replace(cfg, data=dataclasses.replace(cfg.data, n_validation=None)), data_dir)
        return dataclasses.replace(own, test_images=whole.test_images, test_labels=whole.test_labels, n_held_out=0)
    return own


def same(run: Path, of: Mapping[str, Any], found: Mapping[str, Any], keys: tuple[str, ...], what: str) -> None:
    """Raises InputError where two fingerprints differ."""
    for key in keys:
        if of[key] != found[key]:
            why = "its images and labels are others" if key == "sha256" else f"{key} = {found[key]} and not {of[key]}"
            raise InputError(f"{what} is not what {run} is of: {why}; --data-dir should hold the run's own data")


def called(dataset: Dataset, n: int) -> str:
    """What is shown, in words: mnist, 10000 test images."""
    return f"{dataset.name}, {n} {SPLITS[dataset.split]}"
