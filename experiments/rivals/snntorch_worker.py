"""snnTorch's side of experiments/benchmark.py: a training of its Leaky, step by step as its tutorials do."""
# pyright: reportMissingImports=false

import clock
import snntorch
import torch
import torch_training
from snntorch import surrogate
from torch import nn


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    torch.manual_seed(0)
    synapses = nn.ModuleList(torch_training.linears(case))
    neurons = [snntorch.Leaky(case["decay"], spike_grad=surrogate.atan()) for _ in synapses]
    respond = torch_training.step_by_step(case, synapses, neurons, lambda: [neuron.reset_mem() for neuron in neurons])
    torch_training.measure(case, "snntorch", synapses, respond)


if __name__ == "__main__":
    main()
