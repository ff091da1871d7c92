"""SpikingJelly's side of experiments/benchmark.py: a training of its LIFNode in multi-step mode, layer by layer.

Its input does not decay and its reset subtracts the threshold, as in the other libraries.
"""
# pyright: reportMissingImports=false

import clock
import torch
import torch_training
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor, nn


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    torch.manual_seed(0)
    synapses = nn.ModuleList(torch_training.linears(case))
    neurons = [
        neuron.LIFNode(
            tau=1.0 / (1.0 - case["decay"]), decay_input=False, v_reset=None,
            surrogate_function=surrogate.ATan(), step_mode="m",
        )
        for _ in synapses
    ]  # fmt: skip

    def respond(x: Tensor) -> Tensor:
        for w, node in zip(synapses, neurons, strict=True):
            functional.reset_net(node)
            x = w(x)
            x = node(x.expand(case["steps"], *x.shape[1:]) if len(x) == 1 else x)
        return x

    torch_training.measure(case, "spikingjelly", synapses, respond)


if __name__ == "__main__":
    main()
