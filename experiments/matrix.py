"""Run a study: every cell of its encoder x neuron x rule matrix, times its sweep.

  python experiments/matrix.py configs/matrix.toml
  python experiments/matrix.py configs/seed_study.toml --data-dir ~/mnist --out checkpoints/mine
  python experiments/matrix.py configs/seed_study.toml --data-dir ~/mnist --out checkpoints/mine --resume

Results go to DIR/results.jsonl, one line a trial, figures to DIR/figures. An interrupted or killed run goes on
with --resume.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, run_study, study_parser


def main() -> None:
    """Parse, run, draw."""
    run_study(study_parser(__doc__).parse_args())


if __name__ == "__main__":
    command(main, "; go on with --resume")
