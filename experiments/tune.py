"""Tune the numbers of each cell of a study for itself, by successive halving on held-out training images.

  python experiments/tune.py STUDY.toml --data-dir ~/mnist
  python experiments/tune.py STUDY.toml --data-dir ~/mnist --cell 'poisson x lif x stdp'

STUDY.toml is a study with data.n_validation, a table [search] and [search.ranges]: "rule.eta_post" = [0.005, 0.05], ...
search.rungs are the numbers of training images, and not data.n_train.
Writes DIR/results.jsonl, a line a candidate and rung; DIR/best.toml, [[cell]] tables to put into a config, for
experiments/matrix.py to test; and DIR/figures/tuning.png. An interrupted or killed search goes on with --resume.
"""

import functools
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, prepare_jax, read_data, start_devices, stopping, study_parser, tensorboard
from ending import STOP
from live import Console
from rivals.clock import cores
from terminal import warn

from jsnn.core.errors import InputError
from jsnn.runs import config


def names_of(cell: str) -> list[str]:
    """Encoder, neuron and rule of `--cell`."""
    names = [name.strip() for name in cell.split(" x ")]
    if len(names) != 3:
        raise InputError(f"--cell {cell}: it should be 'ENCODER x NEURON x RULE'")
    return names


def said(found: Any) -> str:
    """The rungs of a search, in words."""
    from jsnn.runs import search

    rungs = zip(search.sizes(found), found.rungs, strict=True)
    return ", then ".join(f"{n} candidates a cell with {n_train:,} training images" for n, n_train in rungs)


def main() -> None:
    """Parse, tune, say where the result is."""
    parser = study_parser(__doc__)
    parser.add_argument("--cell", metavar="E x N x R", help="tune this cell only")
    arguments = parser.parse_args()
    if arguments.distributed or arguments.join:
        raise InputError("--distributed: a search runs in one process; give a cell to each with --cell instead")
    prepare_jax(start=False)
    from jsnn import data, plots, runs
    from jsnn.core import files
    from jsnn.grid import host
    from jsnn.runs import results, search

    cfg = config.load(arguments.config, arguments.set)
    if arguments.cell:
        cfg = search.of_cell(cfg, *names_of(arguments.cell))
    rungs = said(search.search_of(cfg))
    host.use_cores(cores())
    start_devices()
    out: Path = arguments.out or Path("checkpoints") / cfg.study
    if not arguments.no_figures:
        files.check_writable(out / "figures")
    runs.holds_run(out / "rung-0", arguments.resume)
    if cfg.data.n_train:
        warn(f"data.n_train = {cfg.data.n_train} has no part in a search: search.rungs say how many images there are")
    dataset = read_data(cfg, arguments.data_dir)
    n_validation = cfg.data.n_test or len(dataset.test_labels)
    evaluated = data.SPLITS[dataset.split]
    title = f"{cfg.study}: {dataset.name}, {n_validation} {evaluated}; {rungs}"
    open_log = tensorboard(out / "tensorboard") if arguments.tensorboard else None
    watch = functools.partial(Console, of_cell="best", open_log=open_log, interrupted=stopping)
    with watch(cfg.entries, title, *search.presentations(cfg, n_validation), evaluated) as console:
        best = search.run(cfg, dataset, out, console, resume=arguments.resume, clock=not arguments.no_clock)
    console.say(f"results  {out / 'results.jsonl'}")
    console.say(f"best     {best}")
    if not arguments.no_figures:
        STOP.hint = "; results are complete, tuning.png is not drawn: --resume draws it"
        with files.locked(out, console.warn):
            figure = plots.save(plots.tuning(results.trials(out / "results.jsonl")), out / "figures" / "tuning.png")
        console.say(f"figure   {figure}")


if __name__ == "__main__":
    command(main, "; go on with --resume")
