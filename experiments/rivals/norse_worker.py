"""Norse's side of experiments/benchmark.py: a training of its LIF without synaptic current, step by step.

It has no arctan: its surrogate is SuperSpike's, which costs no more. Its input is not multiplied by 1 - decay, but its
weights are larger by as much.
"""
# pyright: reportMissingImports=false

import clock
import norse.torch as norse
import torch
import torch_training
from torch import nn


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    torch.manual_seed(0)
    synapses = nn.ModuleList(torch_training.linears(case))
    for w in synapses:
        w.weight.data /= 1.0 - case["decay"]
    rate = torch.tensor((1.0 - case["decay"]) / 0.001)
    neurons = [norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=rate), dt=0.001) for _ in synapses]
    respond = torch_training.step_by_step(case, synapses, neurons, lambda: [None] * len(neurons))
    torch_training.measure(case, "norse", synapses, respond)


if __name__ == "__main__":
    main()
