"""Write what NeuroBench says of small networks, for tests/test_neurobench.py.

    python3.11 -m venv torch
    torch/bin/pip install torch==2.13.0 numpy tqdm
    torch/bin/pip install --no-deps snntorch==1.0.0 neurobench==2.3.0
    torch/bin/python tests/golden/make_neurobench.py

It takes seconds, draws its numbers from a seed, and writes neurobench.npz beside itself:

    decay                                       of snnTorch's Leaky in a step
    input/<given>                               [1 or 12, 3, 9, 11, 2]: steps, samples, height, width, channels
    <network>/architecture, .../w<i>, .../b<i>  as jsnn has them: kernels [height, width, in, out] or [in, out]
    <network>/<given>/<neuron>/...              a case:
        spikes<i>                               bool [12, 3, ...] of each layer, if it is of neurons ("lif")
        alone/<metric>                          [3]: of a benchmark of each sample by itself
        together/<metric>                       of one benchmark of the batch
        footprint_of_one                        Footprint, asked for again after the benchmark of the last sample

Neither NeuroBench nor snnTorch is changed, all is float32. No potential comes within 1e-5 of the threshold and no
input of a rectified linear unit within 1e-6 of 0: the order of sums must not matter.
"""

import functools
import importlib.metadata
import math
from pathlib import Path

import numpy as np
import snntorch
import torch
from neurobench.benchmarks import Benchmark
from neurobench.metrics.static import Footprint, ParameterCount
from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, NeuronOperations, SynapticOperations
from neurobench.models import SNNTorchModel, TorchModel
from torch import nn

T, BATCH, SEEN = 12, 3, (9, 11, 2)
DECAY = math.exp(-0.5)
NETWORKS = {  # architecture, shapes of its weights
    "dense": ("7-3", [(198, 7), (7, 3)]),
    "pruned": ("7-3", [(198, 7), (7, 3)]),  # half of its weights are 0
    "convolution": ("4C3-7-3", [(3, 3, 2, 4), (396, 7), (7, 3)]),
    "pooling": ("4C3-AP2-6C5-MP2-7-3", [(3, 3, 2, 4), (5, 5, 4, 6), (24, 7), (7, 3)]),
}
CASES = [  # network, input, neuron
    ("dense", "spikes", "lif"),
    ("dense", "gray", "lif"),
    ("dense", "partly_binary", "lif"),
    ("pruned", "spikes", "lif"),
    ("convolution", "spikes", "lif"),
    ("convolution", "gray", "lif"),
    ("convolution", "gray", "relu"),
    ("pooling", "spikes", "lif"),
    ("pooling", "gray", "relu"),
]
POOLING = {"AP": nn.AvgPool2d, "MP": nn.MaxPool2d}
METRICS = {
    "lif": [SynapticOperations, ActivationSparsity, MembraneUpdates, NeuronOperations],
    "relu": [SynapticOperations],
}


class Flat(nn.Module):
    """Pixel after pixel, the channels of each together, as jsnn has them."""

    def forward(self, x):
        """[n, channels, height, width] or [n, inputs]: [n, inputs]."""
        return x.movedim(1, -1).flatten(1)


def inputs(rng):
    """Spikes; the same gray pixels in every step, of which half are 0; the same, all samples but the first of them
    made black and white.
    """
    gray = rng.uniform(0.1, 1.0, (1, BATCH, *SEEN)) * (rng.random((1, BATCH, *SEEN)) < 0.5)
    binary = gray > 0.4
    binary_but_one = np.concatenate([gray[:, :1], binary[:, 1:]], axis=1)
    spikes = rng.random((T, BATCH, *SEEN)) < 0.2
    given = {"spikes": spikes, "gray": gray, "partly_binary": binary_but_one}
    return {name: x.astype(np.float32) for name, x in given.items()}


def parameters(name, rng):
    """Weights and biases of each layer."""
    found = []
    for shape in NETWORKS[name][1]:
        w = rng.normal(0.0, 2.0, shape) / math.sqrt(math.prod(shape[:-1]))
        if name == "pruned":
            w = w * (rng.random(shape) < 0.5)
        found.append((w.astype(np.float32), rng.uniform(0.1, 0.3, shape[-1]).astype(np.float32)))
    return found


def torch_network(architecture, params, neuron):
    """The same network in torch."""
    modules, layers, parts = [], iter(params), architecture.split("-")
    for i, part in enumerate(parts):
        if part[:2] in POOLING:
            modules.append(POOLING[part[:2]](int(part[2:])))
            continue
        w, b = map(torch.tensor, next(layers))
        if w.ndim == 4:
            layer = nn.Conv2d(*w.shape[2:], len(w), padding=len(w) // 2)
            layer.weight.data = w.permute(3, 2, 0, 1)
        else:
            modules.append(Flat())
            layer = nn.Linear(*w.shape)
            layer.weight.data = w.T
        layer.bias.data = b
        modules.append(layer)
        is_output = i == len(parts) - 1
        if neuron == "lif":
            modules.append(snntorch.Leaky(DECAY, init_hidden=True, reset_mechanism="zero", output=is_output))
        elif not is_output:
            modules.append(nn.ReLU())
    return nn.Sequential(*modules)


def recorded(model, data):
    """Spikes [T, batch, ...] of each layer that fires, channels last. Raises if what is compared with a threshold comes
    too close to it.
    """
    spikes = {}

    def leaky(i, layer, _, out):
        assert torch.min(torch.abs(layer.mem - 1.0)) > 1e-5, "too close to the threshold"
        spikes.setdefault(i, []).append(out[0] if layer.output else out)

    def relu(layer, inputs, _):
        assert torch.min(torch.abs(inputs[0])) > 1e-6, "too close to 0"

    for i, module in enumerate(model.__net__()):
        if isinstance(module, snntorch.Leaky):
            module.register_forward_hook(functools.partial(leaky, i))
        elif isinstance(module, nn.ReLU):
            module.register_forward_hook(relu)
    model(data)
    return [torch.stack(steps).movedim(2, -1).numpy() > 0 for steps in spikes.values()]


def benchmarked(model, data, metrics):
    """All that NeuroBench says, under its own names."""
    samples = torch.utils.data.TensorDataset(data, torch.zeros(len(data)))
    loader = torch.utils.data.DataLoader(samples, batch_size=len(data))
    results = Benchmark(model, loader, [], [], [[Footprint, ParameterCount], metrics]).run(quiet=True)
    flat = {}
    for name, value in results.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def main():
    """Run all cases."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(3)
    given = inputs(rng)
    networks = {name: parameters(name, rng) for name in NETWORKS}
    out = {"decay": DECAY} | {f"input/{name}": x for name, x in given.items()}
    for name, params in networks.items():
        out[f"{name}/architecture"] = NETWORKS[name][0]
        out |= {f"{name}/w{i}": w for i, (w, _) in enumerate(params)}
        out |= {f"{name}/b{i}": b for i, (_, b) in enumerate(params)}

    for name, shown, neuron in CASES:
        case = f"{name}/{shown}/{neuron}"
        data = torch.tensor(given[shown]).permute(1, 0, 4, 2, 3)  # samples, steps, channels, height, width
        data = data.expand(-1, T, -1, -1, -1) if neuron == "lif" else data[:, 0]

        def model(name=name, neuron=neuron):
            network = torch_network(NETWORKS[name][0], networks[name], neuron)
            return SNNTorchModel(network) if neuron == "lif" else TorchModel(network)

        with torch.no_grad():
            for i, spikes in enumerate(recorded(model(), data)):
                assert 0.05 < spikes.mean() < 0.6, f"{case}: {spikes.mean():.2f} spikes a step in layer {i}"
                out[f"{case}/spikes{i}"] = spikes
            together = benchmarked(model(), data, METRICS[neuron])
            models = [model() for _ in data]
            alone = [benchmarked(m, x[None], METRICS[neuron]) for m, x in zip(models, data, strict=True)]
            out[f"{case}/footprint_of_one"] = Footprint()(models[-1])
        out |= {f"{case}/together/{metric}": value for metric, value in together.items()}
        out |= {f"{case}/alone/{metric}": [sample[metric] for sample in alone] for metric in together}
        print(case, together)

    out["versions"] = [f"{p} {importlib.metadata.version(p)}" for p in ("torch", "snntorch", "neurobench")]
    np.savez_compressed(Path(__file__).parent / "neurobench.npz", **out)


if __name__ == "__main__":
    main()
