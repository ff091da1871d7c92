"""Draw a run's figures: from its results.jsonl, and from the state of its best network.

  python experiments/figures.py checkpoints/headline --data-dir ~/mnist

Writes to RUN/figures: accuracy matrix, learning curves, confusion matrix, receptive fields, thresholds, one
presentation. That one needs an image: of the run's own data set if it is at hand, otherwise of the embedded excerpt.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, prepare_jax
from terminal import Parser, user_path, warn

from jsnn.errors import InputError
from jsnn.text import plain


def draw(run: Path, dataset: Any, warn: Callable[[str], None]) -> list[Path]:
    """Draw all figures of a run; `dataset` supplies the image of the presentation. Returns the files."""
    from jsnn import plots, results, runs
    from jsnn.data import SPLITS
    from jsnn.gradient import GradientTrial
    from jsnn.synapses import Conductance

    records = results.trials(run / "results.jsonl")
    if not records:
        raise InputError(
            f"{run} has no results: run a study there first, e.g. experiments/matrix.py CONFIG --out {run}"
        )
    cfg, lanes, learned = runs.load_trained(run, warn)
    spiking = [r for r in records if r["encoder"] != "none"]
    best = max(spiking, key=lambda r: r["accuracy"])
    name = " x ".join(str(plots.LABELS.get(best[axis], best[axis])) for axis in ("encoder", "neuron", "rule"))
    trial, network = runs.network_of(cfg, lanes, learned, best)
    where = run / "figures"
    of = SPLITS[best["split"]]
    confusion = plots.confusion_matrix(best["confusions"][best["readout"]], best["accuracy"], name, of)
    drawn = [plots.save(confusion, where / "confusion.png")]
    if isinstance(trial, GradientTrial):
        return [*drawn, plots.save(plots.progress(spiking), where / "progress.png")]
    unit = "leak conductances" if isinstance(trial.network.synapse, Conductance) else "mV"
    fields = plots.receptive_fields(network.weights, best["neuron_labels"], unit=unit)
    drawn.append(plots.save(fields, where / "receptive_fields.png"))
    drawn.append(plots.save(presentation(trial, network, dataset), where / "presentation.png"))
    neuron = trial.network.neuron
    if neuron.adaptation is not None:
        thresholds = plots.thresholds(network.theta, float(neuron.v_threshold), best["neuron_labels"])
        drawn.append(plots.save(thresholds, where / "thresholds.png"))
    try:
        drawn.append(plots.save(plots.accuracy_matrix(records, cfg.published or None), where / "accuracy.png"))
        drawn.append(plots.save(plots.learning_curves(records), where / "learning_curves.png"))
    except InputError as error:  # a sweep over more than seeds has no mean to draw
        try:
            drawn.append(plots.save(plots.sweep(records), where / "sweep.png"))
            drawn.append(plots.save(plots.swept_curves(records), where / "learning_curves.png"))
        except InputError:
            warn(f"no accuracy matrix and learning curves: {error}")
    return drawn


def presentation(trial: Any, learned: Any, dataset: Any) -> Any:
    """The first test image, shown to the frozen network as bright as it needs it; the neuron that answers most is
    traced.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jsnn import plots
    from jsnn import trial as trials
    from jsnn.simulate import dense

    images = jnp.asarray(dataset.test_images[:1])
    inputs, network = trial.inputs, trial.network
    n_active = trials.most_active(dataset.test_images[:1])
    key, first = inputs.key(trials.TEST + trials.NETWORK), jnp.zeros((1, 1), int)

    @jax.jit
    def shown(inputs, network, learned):
        rasters = trials.encode(inputs, trials.TEST, images, first, first, n_active)

        def present(state, spikes):
            raster = dense.spread(spikes[None], rasters.active[0], network.n_input)
            counts, recording = dense.respond(network.asked(), learned, raster, inputs.dt, key)
            return (state[0] + 1, raster, recording), counts

        spikes, times = rasters.spikes[0, 0], jnp.zeros((), int)
        empty = jax.eval_shape(lambda: present((times,), spikes)[0])
        state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), empty)
        of_image = jax.random.fold_in(inputs.key(trials.TEST), 0)
        return trials.until_answered(inputs, of_image, rasters.pixels[0, 0], spikes, present, state)

    (times, raster, recording), counts = shown(inputs, network, learned)
    neuron, label = int(np.argmax(counts[0])), str(dataset.test_labels[0])
    if times > 1:
        label += f", {1 + float(inputs.again.brighter) * (int(times) - 1):g} times as bright"
    threshold = float(network.neuron.v_threshold + learned.theta[neuron])
    return plots.presentation(
        raster[:, 0], recording.spikes[:, 0], recording.v[:, 0, neuron], threshold, neuron, float(inputs.dt), label
    )


def main() -> None:
    """Parse, load, draw."""
    parser = Parser(__doc__)
    parser.add_argument("run", type=user_path, metavar="RUN", help="the directory of a run")
    parser.add_argument("--data-dir", type=user_path, metavar="DIR", help="the four IDX files of the run's data set")
    arguments = parser.parse_args()
    prepare_jax()
    from jsnn import data, files, runs

    cfg = runs.config_of(arguments.run)
    dataset = data.load(cfg.data.name if arguments.data_dir else "mnist_excerpt", arguments.data_dir)
    files.check_writable(arguments.run / "figures")
    with files.locked(arguments.run, warn):
        drawn = draw(arguments.run, dataset, warn)
    for path in drawn:
        print(plain(path))


if __name__ == "__main__":
    command(main)
