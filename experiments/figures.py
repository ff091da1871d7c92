"""Draw a run's figures: from its results.jsonl, and from the state of its best network.

  python experiments/figures.py checkpoints/headline --data-dir ~/mnist
  python experiments/figures.py checkpoints/mine --out checkpoints/mine/figures

Draws accuracy matrix, learning curves, confusion matrix, receptive fields, thresholds, one presentation. Nothing is
written into RUN, whose own figures the run itself has drawn, unless --out says so. The presentation needs an image: of
the run's own data set, or for a run of MNIST without --data-dir of the embedded excerpt.

Exit code: 0; 2 for bad input; 4 where the last state of the best network is damaged or missing: what would have to be
drawn from an older one is left out.
"""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, prepare_jax
from terminal import Parser, user_path, warn

from jsnn.core.errors import InputError
from jsnn.core.text import plain

UNFINISHED = 4  # exit code


def reread(run: Path, warn: Callable[[str], None]) -> tuple[list[dict[str, Any]], dict[str, Any], Any]:
    """The lines of a run's results, the best of them, and the networks of its lane (`runs.Trained`)."""
    from jsnn import runs

    records = runs.read_lines(run, warn)
    spiking = [r for r in records if r["encoder"] != "none"]
    if not spiking:
        raise InputError(
            f"{run} has no results: run a study there first, e.g. experiments/matrix.py CONFIG --out {run}"
        )
    best = max(spiking, key=lambda r: r["accuracy"])
    return records, best, runs.load_trained(run, warn, [best])


def draw(run: Path, dataset: Any, warn: Callable[[str], None]) -> list[Path]:
    """Draw all figures of a run into it; `dataset` supplies the image of the presentation. Returns the files."""
    return figures(*reread(run, warn), dataset, run / "figures", warn)


def figures(
    records: list[dict[str, Any]],
    best: dict[str, Any],
    trained: Any,
    dataset: Any,
    where: Path,
    warn: Callable[[str], None],
) -> list[Path]:
    """Draw what `reread` has read into the directory `where`. Returns the files."""
    from jsnn import plots, runs
    from jsnn.data import SPLITS

    spiking = [r for r in records if r["encoder"] != "none"]
    name = " x ".join(str(plots.LABELS.get(best[axis], best[axis])) for axis in ("encoder", "neuron", "rule"))
    trial, network = runs.network_of(trained, best)
    of = SPLITS[best["split"]]
    confusion = plots.confusion_matrix(best["confusions"][best["readout"]], best["accuracy"], name, of)
    drawn = [plots.save(confusion, where / "confusion.png")]
    if not trial.learner.labels_neurons:
        return [*drawn, plots.save(plots.progress(spiking), where / "progress.png")]
    if trained.unfinished:
        warn(f"no receptive fields, thresholds and presentation: {'; '.join(trained.unfinished)}")
    else:
        drawn += of_network(trial, network, best, dataset, where)
    try:
        drawn.append(plots.save(plots.accuracy_matrix(records, trained.cfg.published or None), where / "accuracy.png"))
        drawn.append(plots.save(plots.learning_curves(records), where / "learning_curves.png"))
    except InputError as error:  # a sweep over more than seeds has no mean to draw
        try:
            drawn.append(plots.save(plots.sweep(records), where / "sweep.png"))
            drawn.append(plots.save(plots.swept_curves(records), where / "learning_curves.png"))
        except InputError:
            warn(f"no accuracy matrix and learning curves: {error}")
    return drawn


def of_network(trial: Any, network: Any, best: dict[str, Any], dataset: Any, where: Path) -> list[Path]:
    """The figures of a network that learned by plasticity."""
    from jsnn import plots
    from jsnn.synapses import Conductance

    unit = "leak conductances" if isinstance(trial.network.synapse, Conductance) else "mV"
    fields = plots.receptive_fields(network.weights, best["neuron_labels"], unit=unit)
    drawn = [plots.save(fields, where / "receptive_fields.png")]
    drawn.append(plots.save(presentation(trial, network, dataset), where / "presentation.png"))
    neuron = trial.network.neuron
    if neuron.adaptation is not None:
        thresholds = plots.thresholds(network.theta, float(neuron.v_threshold), best["neuron_labels"])
        drawn.append(plots.save(thresholds, where / "thresholds.png"))
    return drawn


def presentation(trial: Any, learned: Any, dataset: Any) -> Any:
    """The first test image, shown to the frozen network as bright as it needs it; the neuron that answers most is
    traced.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jsnn import plots
    from jsnn.engines import dense, stimulus

    images = jnp.asarray(dataset.test_images[:1])
    inputs, network = trial.inputs, trial.network
    n_active = stimulus.most_active(dataset.test_images[:1])
    key, first = inputs.key(stimulus.TEST + stimulus.NETWORK), jnp.zeros((1, 1), int)

    @jax.jit
    def shown(inputs, network, learned):
        rasters = stimulus.encode(inputs, stimulus.TEST, images, first, first, n_active)

        def present(state, spikes):
            raster = dense.spread(spikes[None], rasters.active[0], network.n_input)
            counts, recording = dense.infer(network.for_inference(), learned, raster, inputs.dt, key)
            return (state[0] + 1, raster, recording), counts

        spikes, times = rasters.spikes[0, 0], jnp.zeros((), int)
        empty = jax.eval_shape(lambda: present((times,), spikes)[0])
        state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), empty)
        of_image = jax.random.fold_in(inputs.key(stimulus.TEST), 0)
        return stimulus.present_until_response(inputs, of_image, rasters.pixels[0, 0], spikes, present, state)

    (times, raster, recording), counts = shown(inputs, network, learned)
    neuron, label = int(np.argmax(counts[0])), str(dataset.test_labels[0])
    if times > 1:
        label += f", {1 + float(inputs.again.brighter) * (int(times) - 1):g} times as bright"
    threshold = float(network.neuron.v_threshold + learned.theta[neuron])
    return plots.presentation(
        raster[:, 0],
        recording.spikes[:, 0],
        recording.v_before[:, 0, neuron],
        threshold,
        neuron,
        float(inputs.dt),
        label,
    )


def main() -> None:
    """Parse, load, draw."""
    parser = Parser(__doc__)
    parser.add_argument("run", type=user_path, metavar="RUN", help="the directory of a run")
    parser.add_argument("--data-dir", type=user_path, metavar="DIR", help="the files of the run's data set")
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", help="where the figures go (default: figures/<the run's name>)"
    )
    arguments = parser.parse_args()
    prepare_jax()
    import images

    from jsnn.core import files

    run = arguments.run
    records, best, trained = reread(run, warn)
    dataset = None
    if any(entry.trial.learner.labels_neurons for entry in trained.cfg.entries):
        dataset = images.of_run(run, trained.cfg, trained.data, arguments.data_dir)
        if dataset.name != trained.data["name"]:
            warn(f"presentation.png shows an image of {images.STANDS_IN}")
    out = arguments.out or Path("figures") / run.resolve().name
    files.check_writable(out)
    into_run = out.resolve().is_relative_to(run.resolve())
    with files.locked(run, warn) if into_run else contextlib.nullcontext():
        drawn = figures(records, best, trained, dataset, out, warn)
    for path in drawn:
        print(plain(path))
    if trained.unfinished:
        sys.exit(UNFINISHED)


if __name__ == "__main__":
    command(main)
