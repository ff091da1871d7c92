"""The network of Diehl & Cook (2015) by jsnn and by Brian2, on the same input spikes, step by step.

  python experiments/compare.py --python brian2/bin/python --data-dir ~/mnist --out checkpoints/brian2

Brian2 runs in an environment of its own: pip install 'brian2==2.9.0' 'numpy<2.4' 'setuptools<81' cython. A layer is
trained for a while by jsnn; then both simulate the same images from its weights, thresholds and delays, in float64:

  frozen      nothing is learned
  power_law   the rule that learns at postsynaptic spikes alone
  triplet     the rule of the published code
  continued   triplet, and Brian2 carries membranes, conductances and traces from image to image, as the published code
              does, where jsnn starts them afresh

They differ, by design, in three things. A spike that reaches a synapse in the very step in which its neuron fires
brings the weight of before that in Brian2, and of after it here; its depression (triplet) sees the postsynaptic trace
of before, or after. A weight that the normalisation has lifted over its bound is cut at once here, and at its next
event in Brian2. And the third is the last case.

Writes DIR/results.jsonl, a line a case, and DIR/figures/voltages.png; with --golden also what tests/test_brian2.py
compares jsnn with where there is no Brian2:

  python experiments/compare.py ... --neurons 20 --images 5 --burn-in 5 --golden tests/golden/brian2.npz
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

from console import command, prepare_jax
from terminal import Parser, user_path

from jsnn.core.errors import InputError

WORKER = Path(__file__).parent / "rivals" / "brian2_worker.py"
CONFIG = Path(__file__).parents[1] / "configs" / "diehl_cook" / "published.toml"
STRIDE = 20  # steps between the membranes that --golden keeps
CASES: dict[str, dict[str, Any]] = {
    "frozen": {"rule": "triplet", "eta_pre": 0.0, "eta_post": 0.0, "reset": True},
    "power_law": {"rule": "power_law", "eta_post": 0.01, "x_tar": 0.4, "mu": 0.2, "reset": True},
    "triplet": {"rule": "triplet", "eta_pre": 1e-4, "eta_post": 0.01, "reset": True},
    "continued": {"rule": "triplet", "eta_pre": 1e-4, "eta_post": 0.01, "reset": False},
}


def published(n: int, rule: str, **numbers: float) -> Any:
    """A trial of the published network, with one of its rules; theta decays in every step, as in Brian2."""
    from jsnn.runs import config

    settings = {"network.n_neurons": n, "matrix.rule": [rule], "neuron.euler_lif.adaptation.clock": "step"}
    settings |= {"run.again": "none"} | {f"rule.{rule}.{name}": value for name, value in numbers.items()}
    return config.load(CONFIG, [f"{path}={json.dumps(value)}" for path, value in settings.items()]).entries[0].trial


def shown(trial: Any, purpose: int, images: Any) -> Any:
    """The rasters of these images, a presentation each, and which images they are of: int32[n, 1]."""
    import jax
    import numpy as np

    from jsnn.engines import stimulus

    index = np.arange(len(images), dtype=np.int32)[:, None]
    encode, n_active = jax.jit(stimulus.encode, static_argnums=(1, 5)), stimulus.most_active(images)
    return encode(trial.inputs, purpose, images, index, index, n_active), index


def inputs_of(n: int, images: Any) -> Any:
    """Input spikes bool[n_images, steps, n_input] of test images, each with its rest."""
    import jax.numpy as jnp
    import numpy as np

    from jsnn.engines import dense
    from jsnn.engines.stimulus import TEST

    trial = published(n, "triplet")
    rasters, _ = shown(trial, TEST, images)
    spikes = dense.spread(rasters.spikes[:, 0], rasters.active[:, 0], trial.network.n_input)
    return np.asarray(jnp.swapaxes(spikes, 0, 1))


def trained(n: int, images: Any) -> Any:
    """The layer after these training images."""
    import jax

    from jsnn.engines.stimulus import TRAIN
    from jsnn.learners.plasticity import plans
    from jsnn.learners.plasticity import trial as trials

    trial = published(n, "power_law")
    rasters, index = shown(trial, TRAIN, images)
    train = jax.jit(trials.train, static_argnums=7)
    return train(trial, trials.init(trial), rasters, index, index, 0, len(images), plans.AHEAD)[0]


def ours(case: dict[str, Any], learned: Any, spikes: Any) -> dict[str, Any]:
    """The case by jsnn's dense engine: `spikes` and `v` [n_images, steps, n], `theta` [n_images, n] after each image.

    The normalisation is Brian2's: it comes after each image here, before each there.
    """
    import dataclasses

    import jax
    import jax.numpy as jnp
    import numpy as np

    from jsnn.core import numerics
    from jsnn.engines import dense

    rule = {k: v for k, v in case.items() if k in ("eta_pre", "eta_post", "x_tar", "mu")}
    trial = published(learned.theta.size, case["rule"], **rule)
    net, dt = trial.network, trial.inputs.dt
    learned = dataclasses.replace(learned, weights=net.normalise(learned.weights))
    present, key = jax.jit(dense.present), numerics.key(0)  # nothing is random in these networks
    found: dict[str, list[Any]] = {"spikes": [], "v": [], "theta": [], "weights": []}
    for raster in spikes:
        learned, _, recording = present(net, learned, jnp.asarray(raster)[:, None], jnp.ones(1, bool), dt, key)
        seen = {"spikes": recording.spikes[:, 0], "v": recording.v[:, 0]}
        for name, value in (seen | {"theta": learned.theta, "weights": learned.weights}).items():
            found[name].append(np.asarray(value))
    return {name: np.stack(values) for name, values in found.items()}


def theirs(case: dict[str, Any], python: str, learned: Any, spikes: Any, cache: Path) -> dict[str, Any]:
    """The case by Brian2. Raises InputError if it cannot be run."""
    import numpy as np

    n = learned.theta.size
    given, written = cache / "given.npz", cache / "written.npz"
    np.savez(
        given, spikes=spikes, weights=np.asarray(learned.weights), delay=np.asarray(learned.delay, int),
        theta=np.asarray(learned.theta),
    )  # fmt: skip
    whole = {"mode": "compare", "file": str(given), "out": str(written), "record": list(range(n)), "normalise": 78.0}
    try:
        done = subprocess.run(
            [python, str(WORKER), json.dumps(whole | case)], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise InputError(f"--python {python}: {error.strerror}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"--python {python}: Brian2 did not run: {last}")
    with np.load(written) as file:
        out = dict(file)
    raster = np.zeros((len(spikes) * spikes.shape[1], n), bool)
    raster[out["exc_t"], out["exc_i"]] = True
    return {
        "spikes": raster.reshape(*spikes.shape[:2], n),
        "v": out["v_exc"].T.reshape(*spikes.shape[:2], n),  # before each step: what the step before has left
        "theta": out["theta_after"],
        "weights": 78.0 * out["weights_after"] / out["weights_after"].sum(axis=1, keepdims=True),
    }


def difference(mine: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """How far the two simulations are apart."""
    import numpy as np

    unlike = np.any(mine["spikes"] != other["spikes"], axis=(1, 2))
    step = np.argwhere(np.any(mine["spikes"] != other["spikes"], axis=2))
    apart = np.abs(mine["v"][:, :-1] - other["v"][:, 1:])
    both = mine["spikes"] & other["spikes"]
    return {
        "spikes": int(mine["spikes"].sum()),
        "spikes_brian2": int(other["spikes"].sum()),
        "spikes_in_the_same_step": int(both.sum()),
        "images_spike_for_spike": int(np.sum(~unlike)),
        "images": len(unlike),
        "first_difference": [int(x) for x in step[0]] if len(step) else None,  # image, step
        "largest_difference_mV": float(apart.max()),
        "median_difference_mV": float(np.median(apart)),
        "largest_difference_theta_mV": float(np.abs(mine["theta"] - other["theta"]).max()),
        "largest_difference_weights": float(np.abs(mine["weights"] - other["weights"]).max()),
        "same_counts": float(np.mean(mine["spikes"].sum(axis=1) == other["spikes"].sum(axis=1))),
    }


def golden(learned: Any, spikes: Any, answers: dict[str, Any]) -> dict[str, Any]:
    """Inputs and answers, small: where there are spikes, the membranes in every 20th step, the weights of the neuron
    that fires most after each image.
    """
    import numpy as np

    kept = {"spikes": np.packbits(spikes, axis=2), "weights": learned.weights, "delay": learned.delay}
    kept["theta"] = learned.theta
    for name, answer in answers.items():
        kept[f"{name}_fired"] = np.argwhere(answer["spikes"]).astype(np.int16)  # image, step, neuron
        kept[f"{name}_theta"] = answer["theta"]
        kept[f"{name}_v"] = answer["v"][:, ::STRIDE]
        kept[f"{name}_weights"] = answer["weights"][:, :, np.argmax(answer["spikes"].sum(axis=(0, 1)))]
    return kept


def main() -> None:
    """Parse, train, compare, write."""
    parser = Parser(__doc__)
    parser.add_argument("--python", required=True, metavar="PATH", help="the Python of an environment with Brian2")
    parser.add_argument("--data-dir", type=user_path, metavar="DIR", help="the four IDX files of MNIST")
    parser.add_argument("--out", type=user_path, default=Path("checkpoints/brian2"), metavar="DIR")
    parser.add_argument("--neurons", type=int, default=100, metavar="N")
    parser.add_argument("--images", type=int, default=10, metavar="N", help="that are compared")
    parser.add_argument(
        "--burn-in", type=int, default=1000, metavar="N", help="images that the layer has learned before"
    )
    parser.add_argument("--golden", type=user_path, metavar="FILE", help="keep the inputs and Brian2's answers there")
    arguments = parser.parse_args()
    prepare_jax()
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jsnn import data, plots
    from jsnn.runs import records, results

    dataset = data.load("mnist" if arguments.data_dir else "mnist_excerpt", arguments.data_dir)
    n_burn = min(arguments.burn_in, len(dataset.train_images))
    learned = trained(arguments.neurons, dataset.train_images[:n_burn])
    spikes = inputs_of(arguments.neurons, dataset.test_images[: arguments.images])
    lines, runs = [], {}
    with jax.enable_x64(True), tempfile.TemporaryDirectory() as cache:
        start = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), None if x.dtype == jnp.uint8 else float), learned)
        for name, case in CASES.items():
            runs[name] = ours(case, start, spikes), theirs(case, arguments.python, start, spikes, Path(cache))
            found = difference(*runs[name])
            lines.append({"case": name, "n_neurons": arguments.neurons, **case, **found, **records.environment()})
            print(
                f"{name:10s} {found['spikes']} spikes, {found['spikes_brian2']} by Brian2, "
                f"{found['spikes_in_the_same_step']} in the same step; {found['images_spike_for_spike']} of "
                f"{found['images']} images spike for spike; v apart by {found['largest_difference_mV']:.1e} mV at most",
                flush=True,
            )
    results.write(arguments.out / "results.jsonl", lines)
    if arguments.golden:
        kept = {name: other for name, (_, other) in runs.items()}
        np.savez_compressed(arguments.golden, **golden(learned, spikes, kept))
    second = min(1, len(spikes) - 1)  # the image at which what carries on begins to matter
    drawn = {name: (mine["v"][second], other["v"][second]) for name, (mine, other) in runs.items()}
    figure = plots.voltages(drawn, published(arguments.neurons, "triplet").inputs.dt)
    print(plots.save(figure, arguments.out / "figures" / "voltages.png"))


if __name__ == "__main__":
    command(main, unwinds=True)
