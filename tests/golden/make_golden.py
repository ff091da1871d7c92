"""Write golden trajectories of the study's network, simulated by BindsNET itself.

The parity test replays the rasters stored here through jsnn and compares spike for spike. BindsNET is the
reference implementation of the study, and it is AGPL-3.0: it is run, never copied, and this script is the
only file of the project that uses it. The tests need the ``.npz`` files alone, neither BindsNET nor torch.

The oracle environment (Python 3.11; ``--no-deps`` because BindsNET requires games and CUDA libraries)::

    python3.11 -m venv oracle
    oracle/bin/pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
    oracle/bin/pip install numpy
    oracle/bin/pip install --no-deps bindsnet==0.3.4
    oracle/bin/python tests/golden/make_golden.py --mnist <folder>/train-images-idx3-ubyte.gz

It takes half a minute on one core, prints the numbers of ``README.md``, and writes the same bytes each time.
``bindsnet/__init__.py`` is skipped: it imports the data sets, plots and games too, and with them a dozen more
packages. ``bindsnet.network`` and ``bindsnet.learning`` run unmodified.

Network: Input(n_in) -> Y(N) with a learned connection (nu 1e-4 pre, 1e-2 post; sum over the batch; weights in
[0, 1]; columns normalised to 0.1 n_in after each presentation, by ``Network.run``) and Y -> Y with weights
-120 (1 - I). dt 1 ms. Two things are fixed so that no random number is drawn during a run:

* one_spike of ``DiehlAndCookNodes`` picks among the neurons that cross threshold together with
  ``torch.multinomial``; during the run this function is replaced by one that takes the FIRST of them.
* w0 is given: 0.3 * uniform, as in the study. In the small cases one weight in a hundred starts just below
  wmax, and two columns start with half the weights, so that both clamps act and normalisation pushes some
  weights above wmax. Rounded down to a multiple of 2**-10 (sums of untouched weights are exact).

Seeds: in float32 the order of a sum may decide whether a neuron crosses when v is within rounding of the
threshold. Such a trajectory tests the summation order, not the model. So every case uses the first seed of
w0 (counting from 0) for which the smallest |v - (threshold + theta)| over all steps, samples and neurons,
read off the comparison BindsNET itself executes, is above ``MARGIN`` = 1e-3 mV, and which shows what the test
is for: 5 to 60 output spikes in each sample of each presentation, and at least 5 steps in which several
neurons of a sample cross.
"""

import argparse
import gzip
import importlib.metadata
import importlib.util
import itertools
import sys
import types
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

# A bare package in place of bindsnet/__init__.py, which imports every subpackage.
_package = types.ModuleType("bindsnet")
_package.__path__ = importlib.util.find_spec("bindsnet").submodule_search_locations
sys.modules["bindsnet"] = _package

from bindsnet.network import Network  # noqa: E402, I001 (before bindsnet.learning: they import each other)
from bindsnet.learning import Hebbian, PostPre, WeightDependentPostPre  # noqa: E402
from bindsnet.network.monitors import Monitor  # noqa: E402
from bindsnet.network.nodes import DiehlAndCookNodes, IFNodes, Input, LIFNodes  # noqa: E402
from bindsnet.network.topology import Connection  # noqa: E402

STEPS = 100  # per presentation; dt is 1 ms
PRESENTATIONS = 3
INHIBITION = 120.0  # mV
NU = (1e-4, 1e-2)  # (pre, post)
TC_TRACE = 20.0  # ms
MEMBRANE = {"thresh": -52.0, "reset": -60.0, "refrac": 5}  # mV, mV, steps
LEAK = {"rest": -65.0, "tc_decay": 100.0}  # mV, ms
THETA = {"theta_plus": 0.05, "tc_theta_decay": 1e7}  # mV, ms
NEURONS = {
    "if": (IFNodes, MEMBRANE),
    "lif": (LIFNodes, MEMBRANE | LEAK),
    "adaptive_lif": (DiehlAndCookNodes, MEMBRANE | LEAK | THETA),
}
RULES = {"stdp": PostPre, "weight_dependent_stdp": WeightDependentPostPre, "hebbian": Hebbian}
MARGIN = 1e-3  # mV
MAX_SEEDS = 200


@dataclass(frozen=True)
class Case:
    """One network and its input file."""

    neuron: str
    rule: str
    inputs: str  # name of the file that holds the raster
    n: int  # neurons in Y

    @property
    def name(self) -> str:
        """Stem of the case's file."""
        return f"{self.neuron}__{self.rule}__{self.inputs.removeprefix('inputs_')}"


class CrossingProbe(TorchDispatchMode):
    """Records, at each step, the operands of the comparison of v with the threshold inside ``Y.forward``."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.gap = []  # v - (threshold + theta), before any reset, [B, N] each
        self.crossed = []  # before one_spike, [B, N] each

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.ge.Tensor and args[0].data_ptr() == self.layer.v.data_ptr():
            self.gap.append((args[0].double() - args[1].double()).numpy())
            self.crossed.append(out.clone().numpy())
        return out


@contextmanager
def ties_to_the_first():
    """Replace ``torch.multinomial`` by the index of the first nonzero entry of each row."""
    drawn = torch.multinomial

    def first(p, num_samples):
        assert num_samples == 1
        return (p > 0).int().argmax(dim=1, keepdim=True)

    torch.multinomial = first
    try:
        yield
    finally:
        torch.multinomial = drawn


def build(case: Case, w0: np.ndarray, batch: int) -> Network:
    """Build the network of ``case`` with the first weights ``w0``, [n_in, N]."""
    n_in = w0.shape[0]
    nodes, parameters = NEURONS[case.neuron]
    net = Network(dt=1.0, batch_size=batch)
    x = Input(n=n_in, traces=True, tc_trace=TC_TRACE)
    y = nodes(n=case.n, traces=True, tc_trace=TC_TRACE, **parameters)
    net.add_layer(x, "X")
    net.add_layer(y, "Y")
    learned = Connection(
        x,
        y,
        w=torch.from_numpy(w0.copy()),
        update_rule=RULES[case.rule],
        nu=NU,
        reduction=torch.sum,
        wmin=0.0,
        wmax=1.0,
        norm=0.1 * n_in,
    )
    net.add_connection(learned, "X", "Y")
    net.add_connection(Connection(y, y, w=-INHIBITION * (1.0 - torch.eye(case.n))), "Y", "Y")
    net.add_monitor(Monitor(y, ["s"], time=STEPS), "spikes")
    net.add_monitor(Monitor(learned, ["w"], time=1), "weights")  # the last step only: before normalisation
    return net


def simulate(case: Case, raster: np.ndarray, w0: np.ndarray) -> dict[str, np.ndarray]:
    """Present ``raster``, bool [P, T, B, n_in]; return the arrays of the case's file, bits not yet packed."""
    net = build(case, w0, raster.shape[2])
    y, learned = net.layers["Y"], net.connections[("X", "Y")]
    out = defaultdict(list)
    with ties_to_the_first():
        for shown in raster:
            with CrossingProbe(y) as probe:
                net.run({"X": torch.from_numpy(shown.astype(np.uint8)).clone()}, time=STEPS)
            out["spikes"].append(net.monitors["spikes"].get("s").bool().numpy())
            out["crossed"].append(np.stack(probe.crossed))
            out["gap"].append(np.stack(probe.gap))
            out["w_before_norm"].append(net.monitors["weights"].get("w")[-1].numpy().copy())
            out["w"].append(learned.w.numpy().copy())
            out["v_end"].append(y.v.numpy().copy())
            out["x_end"].append(y.x.numpy().copy())
            out["refrac_end"].append(np.maximum(y.refrac_count.numpy(), 0).astype(np.int8))
            if case.neuron == "adaptive_lif":
                out["theta"].append(y.theta.numpy().copy())
            net.reset_state_variables()
    out = {name: np.stack(values) for name, values in out.items()}
    assert out["gap"].shape == out["spikes"].shape  # one comparison a step
    out["trace_decay"] = y.trace_decay.numpy()
    if case.neuron != "if":
        out["decay"] = y.decay.numpy()
    if case.neuron == "adaptive_lif":
        out["theta_decay"] = y.theta_decay.numpy()
    return out


def first_weights(case: Case, n_in: int, seed: int) -> np.ndarray:
    """w0, [n_in, N]; see the top of the file."""
    uniform = np.random.default_rng(seed).random((n_in, case.n))
    w0 = 0.3 * uniform
    if case.inputs != "inputs_mnist_b4":
        w0[:, :2] *= 0.5
        w0[uniform > 0.99] = uniform[uniform > 0.99]
    return (np.floor(w0 * 1024) / 1024).astype(np.float32)


def blob_raster(batch: int, seed: int) -> np.ndarray:
    """Bernoulli spikes of a bump of rate at a random place in a 10 x 10 field; bool [P, T, B, 100]."""
    rng = np.random.default_rng(seed)
    row, column = np.divmod(np.arange(100), 10)
    centre = rng.uniform(1, 8, (2, PRESENTATIONS, batch, 1))
    distance = (row - centre[0]) ** 2 + (column - centre[1]) ** 2
    p = 0.04 + 0.46 * np.exp(-distance / (2 * 2.0**2))
    return rng.random((PRESENTATIONS, STEPS, batch, 100)) < p[:, None]


def mnist_raster(path: Path, batch: int, seed: int) -> np.ndarray:
    """Bernoulli spikes at 128 Hz for white of the first training images; bool [P, T, B, 784]."""
    with gzip.open(path) as file:
        data = file.read(16 + PRESENTATIONS * batch * 784)
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(PRESENTATIONS, 1, batch, 784) / 255
    rng = np.random.default_rng(seed)
    return rng.random((PRESENTATIONS, STEPS, batch, 784)) < 0.128 * pixels


def statistics(run: dict[str, np.ndarray]) -> dict[str, float]:
    """Count what happens in the run; one line of the table."""
    spikes, crossed = run["spikes"], run["crossed"]
    counts = spikes.sum((1, 3))  # [P, B]
    refractory = np.zeros_like(crossed)
    for lag in range(1, MEMBRANE["refrac"] + 1):
        refractory[:, lag:] |= crossed[:, :-lag]
    others = spikes.sum(3, keepdims=True) - spikes  # spikes of the other neurons
    dropped = refractory[:, 1:] & (others[:, :-1] > 0)
    before = run["w_before_norm"]
    return {
        "spikes per presentation": counts.sum(1),
        "per sample, least": counts.min(),
        "per sample, most": counts.max(),
        "firing neurons": spikes.any((0, 1, 2)).sum(),
        "steps with several crossings": (crossed.sum(3) > 1).sum(),
        "most crossings in a step": crossed.sum(3).max(),
        "crossings without a spike": crossed.sum() - spikes.sum(),
        "inhibition dropped": dropped.sum(),
        "w at 0": (before == 0).sum(),
        "w at 1": (before == 1).sum(),
        "w over 1 after normalisation": (run["w"] > 1).sum(),
        "margin (mV)": np.abs(run["gap"]).min(),
    }


def suitable(stats: dict[str, float]) -> bool:
    """Whether a run has the margin and the events the test is for."""
    return (
        stats["margin (mV)"] > MARGIN
        and stats["per sample, least"] >= 5
        and stats["per sample, most"] <= 60
        and stats["steps with several crossings"] >= 5
    )


def pack(bits: np.ndarray) -> np.ndarray:
    """Bits of the last axis into bytes; undone by ``np.unpackbits(..., axis=-1, count=n)``."""
    return np.packbits(bits, axis=-1)


def main() -> None:
    """Write every file next to this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, required=True, help="train-images-idx3-ubyte.gz")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    torch.set_num_threads(1)
    versions = {name: importlib.metadata.version(name) for name in ("bindsnet", "torch", "numpy")}

    rasters = {
        "inputs_b1": blob_raster(1, seed=1),
        "inputs_b4": blob_raster(4, seed=4),
        "inputs_mnist_b4": mnist_raster(args.mnist, 4, seed=4),
    }
    for name, raster in rasters.items():
        np.savez_compressed(args.out / f"{name}.npz", raster=pack(raster), n_in=raster.shape[-1])
        print(f"{name}: {raster.shape}, {raster.sum(-1).mean():.1f} input spikes a step", flush=True)

    cases = [
        Case(neuron, rule, inputs, 20)
        for neuron, rule, inputs in itertools.product(NEURONS, RULES, ("inputs_b1", "inputs_b4"))
    ]
    cases.append(Case("adaptive_lif", "stdp", "inputs_mnist_b4", 100))
    header = False
    for case in cases:
        raster = rasters[case.inputs]
        for seed in range(MAX_SEEDS):
            w0 = first_weights(case, raster.shape[-1], seed)
            run = simulate(case, raster, w0)
            stats = statistics(run)
            if suitable(stats):
                break
        else:
            raise RuntimeError(f"{case.name}: none of {MAX_SEEDS} seeds is suitable; last: {stats}")
        if not header:
            print("| case | w0 seed | " + " | ".join(stats) + " |")
            print("|---" * (len(stats) + 2) + "|")
            header = True
        cells = [f"{v:.1e}" if k.startswith("margin") else str(v) for k, v in stats.items()]
        print(f"| {case.name} | {seed} | " + " | ".join(cells) + " |", flush=True)

        gap = run.pop("gap")
        before = run.pop("w_before_norm")
        run["w_sum_before_norm"] = np.stack([torch.from_numpy(w).sum(0).numpy() for w in before])
        np.savez_compressed(
            args.out / f"{case.name}.npz",
            **(run | {"spikes": pack(run["spikes"]), "crossed": pack(run["crossed"])}),
            w0=w0,
            w0_seed=seed,
            n=case.n,
            margin=np.abs(gap).min(),
            **{f"version_{name}": version for name, version in versions.items()},
        )


if __name__ == "__main__":
    main()
