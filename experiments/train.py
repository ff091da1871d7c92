"""Train one combination of encoder, neuron and rule (over any sweep of numbers), and draw it.

  python experiments/train.py configs/headline.toml --data-dir ~/mnist
  python experiments/train.py configs/headline.toml --set data.name=mnist_excerpt --out checkpoints/try

The same as experiments/matrix.py for a config with a single cell; it refuses any other.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, run_study, study_parser

from jsnn.core.errors import InputError


def main() -> None:
    """Parse, check that there is one cell, run."""
    arguments = study_parser(__doc__).parse_args()

    def one_cell(cfg) -> None:
        cells = {(e.encoder, e.neuron, e.rule) for e in cfg.entries}
        if len(cells) > 1:
            raise InputError(
                f"{arguments.config} has {len(cells)} cells: train.py takes one; use experiments/matrix.py"
            )

    run_study(arguments, one_cell)


if __name__ == "__main__":
    command(main, "; go on with --resume")
