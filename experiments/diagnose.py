"""Say why networks do not learn: what drives them, who fires, how alike their neurons are.

  python experiments/diagnose.py checkpoints/factorial --data-dir ~/mnist

Shows test images to the trained networks of a run, prints a line a cell (mean of its seeds), and writes a line a trial
to RUN/diagnosis.jsonl.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, prepare_jax
from terminal import Parser, Table, percent, user_path, warn

from jsnn.errors import InputError

OF_RESULTS = ("encoder", "neuron", "rule", "seed", "overrides", "accuracy", "split")  # in each line of the diagnosis
COLUMNS = {
    "accuracy": lambda r: percent(r["accuracy"]),
    "drive": lambda r: f"{r['drive']:,.0f}",
    "output spikes": lambda r: f"{r['output_spikes']:.1f}",
    "silent images": lambda r: percent(r["silent"]),
    "dead neurons": lambda r: percent(r["dead"]),
    "alike": lambda r: f"{r['similarity']:.2f}",
    "several at once": lambda r: percent(r["together"]),
}
CAPTION = "drive in mV; accuracy, silent, dead and several at once in %"


def diagnoses(run: Path, dataset: Any, n: int) -> list[dict[str, Any]]:
    """A line for each spiking trial of a run, in the order of its results."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jsnn import diagnosis, results, runs
    from jsnn import trial as trials
    from jsnn.simulate import dense

    cfg, lanes, learned = runs.load_trained(run, warn)
    if not all(isinstance(entry.trial, trials.Trial) for entry in cfg.entries):
        raise InputError(f"{run} was trained by gradients; a diagnosis is of networks that learn by plasticity")
    images, n_active = jnp.asarray(dataset.test_images[:n]), trials.most_active(dataset.test_images[:n])
    index = jnp.arange(len(images))[:, None]

    @jax.jit
    def diagnose(trial, learned):
        inputs = trial.inputs
        rasters = trials.encode(inputs, trials.TEST, images, index, index, n_active)
        raster = dense.spread(rasters.spikes[:, 0], rasters.active[:, 0], trial.network.n_input)
        return diagnosis.diagnose(trial.network, learned, raster, inputs.dt, inputs.key(trials.TEST + trials.NETWORK))

    lines = []
    for record in results.trials(run / "results.jsonl"):
        if record["encoder"] != "none":
            found = diagnose(*runs.network_of(cfg, lanes, learned, record))
            which = {key: record[key] for key in OF_RESULTS}
            lines.append(which | {key: float(np.asarray(value)) for key, value in dataclasses.asdict(found).items()})
    if not lines:
        raise InputError(
            f"{run} has no spiking trial; run a study there first: experiments/matrix.py CONFIG --out {run}"
        )
    return lines


def main() -> None:
    """Parse, reload, show, print, write."""
    parser = Parser(__doc__)
    parser.add_argument("run", type=user_path, metavar="RUN", help="the directory of a run")
    parser.add_argument("--data-dir", type=user_path, metavar="DIR", help="the four IDX files of the run's data set")
    parser.add_argument("--n", type=int, default=200, metavar="N", help="test images (default: 200)")
    arguments = parser.parse_args()
    if arguments.n < 1:
        raise InputError(f"--n {arguments.n}: it should be 1 or more")
    prepare_jax()
    from rich.console import Console

    from jsnn import data, results, runs

    name = runs.config_of(arguments.run).data.name if arguments.data_dir else "mnist_excerpt"
    lines = diagnoses(arguments.run, data.load(name, arguments.data_dir), arguments.n)
    results.write_whole(arguments.run / "diagnosis.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    title = f"{arguments.run}: {arguments.n} test images"
    table = Table(("encoder", "neuron", "rule"), list(COLUMNS), title=title, caption=CAPTION)
    for cell, trials in results.by_cell(lines).items():
        numbers = [key for key, value in trials[0].items() if isinstance(value, float)]
        mean = {key: sum(trial[key] for trial in trials) / len(trials) for key in numbers}
        table.add(*cell, *(show(mean) for show in COLUMNS.values()))
    Console().print(table)


if __name__ == "__main__":
    command(main)
