"""Accuracy against energy: the answers of several runs, of networks trained by gradients or by plasticity.

  python experiments/prices.py checkpoints/gradient_fully_connected checkpoints/every_cell --out prices.png

A row a cell: the mean over its seeds. A network trained by gradients can be asked after any of its steps: a point each,
its energy taken in proportion to the steps. Prints the same as a table.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

import numpy as np
from console import command
from terminal import Parser, Table, user_path, warn

from jsnn import plots, runs
from jsnn.core import files
from jsnn.core.errors import InputError
from jsnn.core.text import LABEL, plain
from jsnn.learners import cost
from jsnn.runs import config, results
from jsnn.runs.records import is_of


def price_of(line: Mapping[str, Any], cfg: config.Config) -> cost.Price:
    """Of an answer: what the line says, or what follows from its spikes and its network."""
    if "price" in line:
        return cost.Price(**line["price"])
    if line["encoder"] == "none":  # the ANN beside a matrix
        return cost.Price(macs=line["synaptic_operations"])
    entry = next(e for e in cfg.entries if is_of(line, e))
    network, inputs = entry.trial.network, entry.trial.inputs
    n_steps = inputs.n_steps + inputs.rest
    return cost.answering_of_plastic(network, line["input_spikes"], line["output_spikes"], n_steps)


def points_of(lines: Sequence[Mapping[str, Any]], cfg: config.Config) -> list[tuple[float, float]]:
    """(energy of the synapses, µJ; accuracy) of the trials of a cell, means: after each step, or at the end."""
    energy = float(np.mean([price_of(line, cfg).energy() for line in lines])) / 1e6
    after = np.mean([line.get("accuracy_after", [line["accuracy"]]) for line in lines], axis=0)
    return [(energy * t / len(after), float(a)) for t, a in enumerate(after, 1)]


def main() -> None:
    """Parse, compare, print, draw."""
    parser = Parser(__doc__)
    parser.add_argument("run", type=user_path, nargs="+", metavar="RUN", help="the directories of runs")
    parser.add_argument("--out", type=user_path, metavar="FILE", default=Path("prices.png"), help="the figure")
    arguments = parser.parse_args()
    from rich.console import Console
    from rich.text import Text

    plots.check_format(arguments.out)
    files.check_writable(arguments.out.parent)
    models: dict[str, list[tuple[float, float]]] = {}
    cells: dict[str, list[tuple[float, float]]] = {}
    table = Table(("cell",), ("steps", "accuracy (%)", "synapses (µJ)", "neurons (µJ)"))
    for run in arguments.run:
        cfg, lines = runs.config_of(run), runs.read_lines(run, warn)
        if not lines:
            raise InputError(f"{run} has no results: run its study first")
        for cell, trials in results.by_cell(lines).items():
            name = " x ".join(map(plots.label, cell))
            name = f"{name}, {trials[0].get('architecture', trials[0]['n_neurons'])}"
            name += ", held out" * (trials[0]["split"] == "validation")
            points = points_of(trials, cfg)
            if len(points) > 1 or cell[0] == "none" or "architecture" in trials[0]:
                models[name] = points
            else:  # a matrix of plasticity has many: one colour an encoder
                cells.setdefault(f"{plots.label(cell[0])}, plasticity", []).extend(points)
            neurons = float(np.mean([price_of(line, cfg).energy_of_neurons() for line in trials])) / 1e6
            energy, accuracy = points[-1]
            shown = Text(plain(name, 2 * LABEL)), str(trials[0]["n_steps"]), f"{100 * accuracy:.2f}"
            table.add(*shown, f"{energy:.4f}", f"{neurons:.4f}")
    Console().print(table)
    figure = plots.pareto(models, cells, "float32 in 45 nm, arithmetic alone; neurons' updates apart")
    print(plain(plots.save(figure, arguments.out)))


if __name__ == "__main__":
    command(main)
