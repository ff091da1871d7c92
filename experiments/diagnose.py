"""Say why networks do not learn: what drives them, who fires, how alike their neurons are.

  python experiments/diagnose.py checkpoints/factorial --data-dir ~/mnist

Shows the trained networks of a run the images that they were evaluated on (for a run of MNIST without --data-dir: the
embedded excerpt), and prints a line a cell, the mean of its seeds; --out FILE writes a line a trial, too. The accuracy
is that of the run's results, on all images it was evaluated on; all else is of the images shown here: a dead neuron
fires for none of these. The run must be of networks that learn by plasticity.

Exit code: 0; 2 for bad input; 4 where networks are not those of the end of their training.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, prepare_jax
from terminal import Parser, Table, percent, user_path, warn

from jsnn.core.errors import InputError

UNFINISHED = 4  # exit code
OF_RESULTS = ("encoder", "neuron", "rule", "seed", "overrides", "accuracy", "split")  # in each line of the diagnosis
COLUMNS = {
    "accuracy": lambda r: percent(r["accuracy"]),
    "drive": lambda r: f"{r['drive']:,.0f}",
    "output spikes": lambda r: f"{r['output_spikes']:.1f}",
    "silent images": lambda r: percent(r["silent"]),
    "dead neurons": lambda r: percent(r["dead"]),
    "alike": lambda r: "–" if r["similarity"] is None else f"{r['similarity']:.2f}",
    "several at once": lambda r: percent(r["together"]),
}
CAPTION = "drive in mV; accuracy, silent, dead and several at once in %; dead: for none of the images shown here"


def diagnoses(records: list[dict[str, Any]], trained: Any, dataset: Any, n: int) -> list[dict[str, Any]]:
    """A line for each of the trials that the lines of results are of, in their order; what is not a number is None."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jsnn import runs
    from jsnn.analysis import diagnosis
    from jsnn.engines import dense, stimulus

    images, n_active = jnp.asarray(dataset.test_images[:n]), stimulus.most_active(dataset.test_images[:n])
    index = jnp.arange(len(images))[:, None]

    @jax.jit
    def diagnose(trial, learned):
        inputs = trial.inputs
        rasters = stimulus.encode(inputs, stimulus.TEST, images, index, index, n_active)
        raster = dense.spread(rasters.spikes[:, 0], rasters.active[:, 0], trial.network.n_input)
        key = inputs.key(stimulus.TEST + stimulus.NETWORK)
        return diagnosis.diagnose(trial.network, learned, raster, inputs.dt, key)

    lines = []
    for record in records:
        found = dataclasses.asdict(diagnose(*runs.network_of(trained, record)))
        which = {key: record[key] for key in OF_RESULTS}
        lines.append(which | {key: None if np.isnan(value) else float(value) for key, value in found.items()})
    return lines


def mean_of(lines: list[dict[str, Any]]) -> dict[str, float | None]:
    """Of the numbers of several lines; None where one of them has none."""
    numbers = [key for key in lines[0] if key not in OF_RESULTS or key == "accuracy"]
    values = {key: [line[key] for line in lines] for key in numbers}
    return {key: None if None in found else sum(found) / len(found) for key, found in values.items()}


def main() -> None:
    """Parse, reload, show, print, write."""
    parser = Parser(__doc__)
    parser.add_argument("run", type=user_path, metavar="RUN", help="the directory of a run")
    parser.add_argument("--data-dir", type=user_path, metavar="DIR", help="the files of the run's data set")
    parser.add_argument("--n", type=int, metavar="N", help="how many images (default: 200, or all there are)")
    parser.add_argument(
        "--out", type=user_path, metavar="FILE", help="write a line of JSON a trial, e.g. diagnosis.jsonl"
    )
    arguments = parser.parse_args()
    prepare_jax()
    import images
    from rich.console import Console

    from jsnn import runs
    from jsnn.runs import results

    run = arguments.run
    if not all(entry.trial.learner.labels_neurons for entry in runs.config_of(run).entries):
        raise InputError(f"{run} was trained by gradients; a diagnosis is of networks that learn by plasticity")
    records = [line for line in runs.read_lines(run, warn) if line["encoder"] != "none"]
    if not records:
        raise InputError(
            f"{run} has no spiking trial; run a study there first: experiments/matrix.py CONFIG --out {run}"
        )
    trained = runs.load_trained(run, warn, records)
    dataset = images.of_run(run, trained.cfg, trained.data, arguments.data_dir)
    most = len(dataset.test_labels)
    n = min(200, most) if arguments.n is None else arguments.n
    if not 1 <= n <= most:
        raise InputError(f"--n {n}: it should be from 1 to {most}, the images there are")
    lines = diagnoses(records, trained, dataset, n)
    if arguments.out is not None:
        results.write(arguments.out, lines)
    stands_in = [images.STANDS_IN] if dataset.name != trained.data["name"] else []
    of_results = " or ".join(f"{of:,}" for of in sorted({record["n_evaluated"] for record in records}))
    told = f"accuracy from its results, on {of_results} images"
    title = "; ".join([f"{run}: {images.called(dataset, n)}", *stands_in, told, *trained.unfinished])
    table = Table(("encoder", "neuron", "rule"), list(COLUMNS), title=title, caption=CAPTION)
    for cell, trials in results.by_cell(lines).items():
        mean = mean_of(trials)
        table.add(*cell, *(show(mean) for show in COLUMNS.values()))
    Console().print(table)
    if trained.unfinished:
        sys.exit(UNFINISHED)


if __name__ == "__main__":
    command(main)
