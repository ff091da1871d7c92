"""Tune the numbers of each cell of a study for itself, by successive halving on held-out training images.

  python experiments/tune.py STUDY.toml --data-dir ~/mnist
  python experiments/tune.py STUDY.toml --data-dir ~/mnist --cell 'poisson x lif x stdp'

STUDY.toml is a study with data.n_validation, a table [search] and [search.ranges]: "rule.eta_post" = [0.005, 0.05], ...
Writes DIR/results.jsonl, a line a candidate and rung; DIR/best.toml, [[cell]] tables to put into a config, for
experiments/matrix.py to test; and DIR/figures/tuning.png. An interrupted or killed search goes on with --resume.
"""

from pathlib import Path

from console import Console, command, prepare_jax, read_data, study_parser
from rivals.clock import cores

from jsnn import config
from jsnn.errors import InputError


def names_of(cell: str) -> list[str]:
    """Encoder, neuron and rule of `--cell`."""
    names = [name.strip() for name in cell.split(" x ")]
    if len(names) != 3:
        raise InputError(f"--cell {cell}: it should be 'ENCODER x NEURON x RULE'")
    return names


def main() -> None:
    """Parse, tune, say where the result is."""
    parser = study_parser(__doc__)
    parser.add_argument("--cell", metavar="E x N x R", help="tune this cell only")
    arguments = parser.parse_args()
    if arguments.distributed or arguments.join:
        raise InputError("--distributed: a search runs in one process; give a cell to each with --cell instead")
    prepare_jax()
    from jsnn import data, grid, plots, results, search

    cfg = config.load(arguments.config, arguments.set)
    if arguments.cell:
        cfg = search.of_cell(cfg, *names_of(arguments.cell))
    search.search_of(cfg)
    grid.use_cores(cores())
    dataset = read_data(cfg, arguments.data_dir)
    n_validation = cfg.data.n_test or len(dataset.test_labels)
    out: Path = arguments.out or Path("checkpoints") / cfg.study
    evaluated = data.SPLITS[dataset.split]
    title = f"{cfg.study}: {dataset.name}, {n_validation} {evaluated}"
    with Console(cfg.entries, title, search.presentations(cfg, n_validation), evaluated) as console:
        best = search.run(cfg, dataset, out, console, resume=arguments.resume, clock=not arguments.no_clock)
    figure = plots.save(plots.tuning(results.trials(out / "results.jsonl")), out / "figures" / "tuning.png")
    console.rich.print(f"results  {out / 'results.jsonl'}", highlight=False, markup=False, soft_wrap=True)
    console.rich.print(f"best     {best}", highlight=False, markup=False, soft_wrap=True)
    console.rich.print(f"figure   {figure}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    command(main)
