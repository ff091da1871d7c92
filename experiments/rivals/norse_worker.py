"""Norse's side of experiments/benchmark.py: a training of its LIF without synaptic current, step by step.

It has no arctan: its surrogate is SuperSpike's, which costs no more. Its input is not multiplied by 1 - decay, but its
weights are larger by as much.
"""
# pyright: reportMissingImports=false

import clock
import norse.torch as norse
import torch
import torch_training
from torch import Tensor, nn


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    torch.manual_seed(0)
    synapses = nn.ModuleList(torch_training.linears(case))
    for w in synapses:
        w.weight.data /= 1.0 - case["decay"]
    rate = torch.tensor((1.0 - case["decay"]) / 0.001)
    neurons = [norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=rate), dt=0.001) for _ in synapses]

    def respond(x: Tensor) -> Tensor:
        states = [None] * len(neurons)
        out, current = [], synapses[0](x[0]) if case["constant"] else None
        for t in range(case["steps"]):
            spikes = x[t] if current is None else current
            for i, (w, neuron) in enumerate(zip(synapses, neurons, strict=True)):
                arriving = spikes if i == 0 and current is not None else w(spikes)
                spikes, states[i] = neuron(arriving, states[i])
            out.append(spikes)
        return torch.stack(out)

    torch_training.measure(case, "norse", synapses, respond)


if __name__ == "__main__":
    main()
