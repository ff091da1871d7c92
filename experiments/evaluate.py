"""Reload the trained networks of a run and report their accuracy.

  python experiments/evaluate.py checkpoints/headline
  python experiments/evaluate.py checkpoints/headline --data-dir ~/mnist

Without --data-dir it is shown the embedded excerpt, which takes seconds; with it, the data set of the run.

Neurons are labelled afresh, from the frozen networks' responses to training images; networks that were trained by
gradients have labels already.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, prepare_jax
from live import counted
from terminal import Parser, Table, percent, user_path, warn


def main() -> None:
    """Parse, reload, answer, print."""
    parser = Parser(__doc__)
    parser.add_argument("run", type=user_path, metavar="RUN", help="the directory of a run")
    parser.add_argument("--data-dir", type=user_path, metavar="DIR", help="the four IDX files of the run's data set")
    parser.add_argument(
        "--n-assign", type=int, metavar="N", help="training images that label the neurons (default: as in the run)"
    )
    parser.add_argument("--n-test", type=int, metavar="N", help="test images (default: all)")
    arguments = parser.parse_args()
    prepare_jax()
    import dataclasses

    from rich.console import Console

    from jsnn import config, data, evaluation, plots, readout, runs, study
    from jsnn.gradient import GradientTrial
    from jsnn.lanes import gradient

    cfg, lanes, learned = runs.load_trained(arguments.run, warn)
    own = arguments.data_dir is not None or cfg.data.name == "mnist_excerpt"
    if cfg.data.name in data.RECORDINGS:
        n_steps = cfg.run.n_steps
        dataset = data.load_recordings(cfg.data.name, arguments.data_dir, n_steps, None, arguments.n_test)
    else:
        dataset = data.load(cfg.data.name if own else "mnist_excerpt", arguments.data_dir, None, arguments.n_test)
    has_labels = [isinstance(lane.cells[0].trials, GradientTrial) for lane in lanes]
    readouts = (*([] if all(has_labels) else readout.READOUTS), *(["argmax"] if any(has_labels) else []))
    n_assign = arguments.n_assign or min(cfg.data.n_assign or 10_000, len(dataset.train_labels))
    dataset = dataset.first(n_assign, None)
    schedule = study.Schedule(n_train=n_assign, n_assign=n_assign, n_test=len(dataset.test_labels))
    total = len(cfg.entries) * (schedule.n_assign + schedule.n_test)
    title = f"{arguments.run}: {dataset.name}, {schedule.n_test} test images"
    title += "" if all(has_labels) else f", labels from {n_assign} training images"
    axes = [axis for axis in config.AXES if len({getattr(e, axis) for e in cfg.entries}) > 1]
    same = [getattr(cfg.entries[0], axis) for axis in config.AXES if axis not in axes]
    caption = "; ".join(["accuracy, %", *([" x ".join(same)] if same else [])])
    numbers = list(dict.fromkeys(path for e in cfg.entries for path in e.overrides if path != "run.seed"))
    headings = (*map(plots.word, numbers), "seed", *(name.replace("_", " ") for name in readouts))
    table = Table(axes, headings, title=title, caption=caption)
    with counted(total) as advance:
        for lane, networks, labelled in zip(lanes, learned, has_labels, strict=True):
            if labelled:
                lines = gradient.asked(lane, dataset, schedule, networks[0], advance)
                accuracies_of = [[line["readouts"] for line in lines]]
            else:
                answers = evaluation.answer(lane, dataset, schedule, networks, advance)
                accuracies_of = [[one.accuracy for one in answered] for answered in answers]
            for cell, found in zip(lane.cells, accuracies_of, strict=True):
                for i, accuracy in zip(cell.index, found, strict=True):
                    entry = cfg.entries[i]
                    accuracies = (percent(accuracy.get(name)) for name in readouts)
                    own = [str(entry.overrides.get(path, "")) for path in numbers]
                    seed = str(dataclasses.asdict(entry.trial.inputs)["seed"])
                    table.add(*(getattr(entry, axis) for axis in axes), *own, seed, *accuracies)
    Console().print(table)


if __name__ == "__main__":
    command(main)
