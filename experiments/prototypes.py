"""What k-means answers with as many prototypes as a layer has neurons: the reference line of the neurons study.

  python experiments/prototypes.py --data-dir ~/mnist --out checkpoints/prototypes

k-means over all training images: a pass of mini-batches, then Lloyd's algorithm until a pass lowers the inertia by less
than a ten-thousandth. Each prototype answers with the class that most of its training images are of. Writes
DIR/results.jsonl, a line a size and seed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, prepare_jax
from terminal import Parser, percent, user_path

SIZES, SEEDS = (25, 100, 400, 1600), range(5)


def main() -> None:
    """Parse, fit, answer, write."""
    parser = Parser(__doc__)
    parser.add_argument("--data", default="mnist", metavar="NAME", help="mnist, fashion_mnist, ... (default: mnist)")
    parser.add_argument("--data-dir", type=user_path, metavar="DIR", help="the four IDX files of the data set")
    parser.add_argument("--out", type=user_path, default=Path("checkpoints/prototypes"), metavar="DIR")
    arguments = parser.parse_args()
    prepare_jax()
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jsnn import data, readouts
    from jsnn.core import numerics
    from jsnn.learners import kmeans
    from jsnn.runs import records, results

    dataset = data.load(arguments.data, arguments.data_dir)
    train, test = (jnp.asarray(x, float) / 255.0 for x in (dataset.train_images, dataset.test_images))
    labels = jnp.asarray(dataset.train_labels)
    responses = jax.jit(kmeans.responses)
    environment, lines = records.environment(), []
    for n in SIZES:
        for seed in SEEDS:
            found = kmeans.fit(numerics.key(seed), train, n)
            counts = responses(found.prototypes, train), responses(found.prototypes, test)
            answers = np.asarray(readouts.predict("all_activity", counts[0], labels, counts[1], dataset.n_classes))
            lines.append(
                {"study": "prototypes", "dataset": dataset.name, "split": dataset.split, "encoder": "none"}
                | {"neuron": "prototype", "rule": "k_means", "seed": seed, "n_neurons": n}
                | {"n_train": len(train), "n_evaluated": len(test)}
                | {"n_presentations": found.n_passes * len(train), "n_passes": found.n_passes}
                | {"inertia": found.inertia}
                | {"readout": "all_activity", "accuracy": float(np.mean(answers == dataset.test_labels))}
                | {"overrides": {"network.n_neurons": n}}
                | environment
            )
        accuracies = ", ".join(percent(r["accuracy"]) for r in lines[-len(SEEDS) :])
        print(f"{n:5d} prototypes: {accuracies} %", flush=True)
    results.write(arguments.out / "results.jsonl", lines)
    print(f"results  {arguments.out / 'results.jsonl'}")


if __name__ == "__main__":
    command(main)
