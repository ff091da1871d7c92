"""Run a study: every cell of its encoder x neuron x rule matrix, times its sweep.

  python experiments/matrix.py configs/matrix.toml
  python experiments/matrix.py configs/seed_study.toml --data-dir ~/mnist --out runs/seed
  python experiments/matrix.py configs/seed_study.toml --data-dir ~/mnist --out runs/seed --resume

Results go to DIR/results.jsonl, one line a trial, figures to DIR/figures. An interrupted or killed run goes on with --resume.
"""

from pathlib import Path

from console import Console, command, prepare_jax, study_parser, waiting


def main() -> None:
    """Parse, run, draw."""
    arguments = study_parser(__doc__).parse_args()
    prepare_jax()
    from jsnn import config, data, runs

    cfg = config.load(arguments.config, arguments.set)
    out = arguments.out or Path("checkpoints") / cfg.study
    with waiting(f"reading {cfg.data.name}"):
        dataset = data.load(cfg.data.name, arguments.data_dir, cfg.data.n_train, cfg.data.n_test)
    schedule = runs.schedule_of(cfg, dataset)
    each = schedule.n_train * schedule.epochs + schedule.n_assign + schedule.n_test
    title = f"{cfg.study}: {dataset.name}, {schedule.n_train} training images x {schedule.epochs}, {schedule.n_test} test images"
    with Console(cfg.entries, title, each * len(cfg.entries)) as console:
        runs.run(cfg, dataset, out, console, resume=arguments.resume, clock=not arguments.no_clock)
    console.rich.print(f"results: {out / 'results.jsonl'}")


if __name__ == "__main__":
    command(main)
