"""Reload the trained networks of a run and report their accuracy.

  python experiments/evaluate.py checkpoints/headline
  python experiments/evaluate.py checkpoints/headline --data-dir ~/mnist

A run of MNIST is shown the embedded excerpt where --data-dir is left out (checkpoints/headline: 60,000 presentations,
about a minute), and the title says so.
With it, every run is shown its own images (others are refused), as many as it used, and the table has the numbers of
its results.jsonl. A run that held training images out (data.n_validation) is shown those; --split test asks for the
test images.

Neurons are labelled afresh, from the frozen networks' responses to training images; networks that were trained by
gradients have labels already.

Exit code: 0; 2 for bad input; 4 where networks are not those of the end of their training (the run has not finished, or
its last state is damaged): the table says which state they are.
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, prepare_jax
from live import counted
from terminal import Parser, Table, percent, user_path, warn

from jsnn.core.errors import InputError

UNFINISHED = 4  # exit code


def schedule_of(cfg: Any, dataset: Any, n_assign: int | None, n_test: int | None) -> Any:
    """How much is shown: as in the run, as far as there are so many images, or as the arguments say."""
    from jsnn import data, runs

    n_train = min(cfg.data.n_train or len(dataset.train_labels), len(dataset.train_labels))
    limits = [("--n-assign", n_assign, n_train, "training images")]
    limits.append(("--n-test", n_test, len(dataset.test_labels), data.SPLITS[dataset.split]))
    for name, value, most, what in limits:
        if value is not None and not 1 <= value <= most:
            raise InputError(f"{name} {value}: it should be from 1 to {most}, the {what} of {dataset.name}")
    asked = {"n_train": n_train, "n_assign": n_assign or cfg.data.n_assign and min(cfg.data.n_assign, n_train)}
    asked |= {"n_test": n_test or min(len(dataset.test_labels), cfg.data.n_test or len(dataset.test_labels))}
    asked |= {"n_validation": dataset.n_held_out}
    return runs.schedule_of(dataclasses.replace(cfg, data=dataclasses.replace(cfg.data, **asked)), dataset)


def answers(trained: Any, dataset: Any, schedule: Any, advance: Callable[[int], None]) -> list[list[dict[str, float]]]:
    """Of each lane and trial, in the order of the cells: the accuracy of each read-out."""
    from jsnn import runs
    from jsnn.grid.observer import Observer

    class Watch(Observer):
        def progress(self, n: int) -> None:
            advance(n)

        def warn(self, message: str) -> None:
            warn(message)

    task, found = runs.task_of(trained.cfg, dataset, schedule, Watch()), []
    for lane, state in zip(trained.lanes, trained.states, strict=True):
        lines = lane.learner.answers(lane, task, state)
        found.append([line["readouts"] for cell in lines for line in cell])
    return found


def table_of(trained: Any, title: str, found: list[list[dict[str, float]]]) -> Table:
    """A row a trial: what it is, where the others are something else, and its accuracies."""
    from jsnn import plots
    from jsnn.runs import config

    entries = trained.cfg.entries
    axes = [axis for axis in config.AXES if len({getattr(e, axis) for e in entries}) > 1]
    same = [getattr(entries[0], axis) for axis in config.AXES if axis not in axes]
    readouts = list(dict.fromkeys(name for lane in found for accuracies in lane for name in accuracies))
    numbers = list(dict.fromkeys(path for e in entries for path in e.overrides if path != "run.seed"))
    window = ["window"] * bool(trained.unfinished)
    headings = [*map(plots.word, numbers), "seed", *window, *(name.replace("_", " ") for name in readouts)]
    caption = "; ".join(["accuracy, %", *([" x ".join(same)] if same else [])])
    table = Table(axes, headings, title=title, caption=caption)
    for lane, state, n, answered in zip(trained.lanes, trained.states, trained.windows, found, strict=True):
        index = [i for cell in lane.cells for i in cell.index]
        for i, accuracy in zip(index, answered, strict=True):
            entry = entries[i]
            own = [str(entry.overrides.get(path, "")) for path in numbers]
            own += [str(entry.trial.inputs.seed), *[f"{state.window} of {n}" for _ in window]]
            table.add(*(getattr(entry, axis) for axis in axes), *own, *(percent(accuracy.get(r)) for r in readouts))
    return table


def main() -> None:
    """Parse, reload, answer, print."""
    parser = Parser(__doc__)
    parser.add_argument("run", type=user_path, metavar="RUN", help="the directory of a run")
    parser.add_argument("--data-dir", type=user_path, metavar="DIR", help="the files of the run's data set")
    parser.add_argument(
        "--split", choices=("test", "validation"), help="test images, or held-out training images (default: the run's)"
    )
    parser.add_argument(
        "--n-assign", type=int, metavar="N", help="training images that label the neurons (default: as in the run)"
    )
    parser.add_argument("--n-test", type=int, metavar="N", help="images that are shown (default: as in the run)")
    arguments = parser.parse_args()
    prepare_jax()
    import images
    from rich.console import Console

    from jsnn import runs

    run = arguments.run
    trained = runs.load_trained(run, warn)
    dataset = images.of_run(run, trained.cfg, trained.data, arguments.data_dir, arguments.split)
    schedule = schedule_of(trained.cfg, dataset, arguments.n_assign, arguments.n_test)
    title = [f"{run}: {images.called(dataset, schedule.n_test)}"]
    title += [f"labels from {schedule.n_assign} training images"] if schedule.n_assign else []
    if dataset.name != trained.data["name"]:
        title.append(images.STANDS_IN)
    title += trained.unfinished
    with counted(len(trained.cfg.entries) * schedule.n_answers, str(run)) as advance:
        found = answers(trained, dataset, schedule, advance)
    Console().print(table_of(trained, "; ".join(title), found))
    if trained.unfinished:
        sys.exit(UNFINISHED)


if __name__ == "__main__":
    command(main)
