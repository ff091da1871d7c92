"""snnTorch's side of experiments/benchmark.py: a training of its Leaky, step by step as its tutorials do."""
# pyright: reportMissingImports=false

import clock
import snntorch
import torch
import torch_training
from snntorch import surrogate
from torch import Tensor, nn


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    torch.manual_seed(0)
    synapses = nn.ModuleList(torch_training.linears(case))
    neurons = [snntorch.Leaky(case["decay"], spike_grad=surrogate.atan()) for _ in synapses]

    def respond(x: Tensor) -> Tensor:
        potentials = [neuron.reset_mem() for neuron in neurons]
        out, current = [], synapses[0](x[0]) if case["constant"] else None
        for t in range(case["steps"]):
            spikes = x[t] if current is None else current
            for i, (w, neuron) in enumerate(zip(synapses, neurons, strict=True)):
                arriving = spikes if i == 0 and current is not None else w(spikes)
                spikes, potentials[i] = neuron(arriving, potentials[i])
            out.append(spikes)
        return torch.stack(out)

    torch_training.measure(case, "snntorch", synapses, respond)


if __name__ == "__main__":
    main()
