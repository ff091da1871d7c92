"""neuroSush's side of experiments/benchmark.py: 784 -> 400 with dense STDP, the shape of its own public benchmark.

The numbers of the network are those of that benchmark; the input is 256 different frames in turn, not one again and
again, as jsnn's is. It steps eagerly, as that benchmark does on a CPU, or compiled, with one
thread or all, whichever is fastest here.
"""
# pyright: reportMissingImports=false

import functools
import itertools
from importlib.metadata import version
from typing import Any

import clock

FRAMES = 256


def build(case: dict[str, Any]) -> tuple[Any, Any]:
    """The network, and its output neurons."""
    import torch
    from neurosush.core.network import Network, NeuronGroup, SynapseGroup
    from neurosush.neurons.axon import Axon
    from neurosush.neurons.competition import KWTA
    from neurosush.neurons.dendrite import DendriteIntegration, DendriteStructure
    from neurosush.neurons.homeostasis import ActivityHomeostasis
    from neurosush.neurons.inputs import SpikeInput
    from neurosush.neurons.models import LIF, Fire
    from neurosush.synapses.constraints import WeightNormalization
    from neurosush.synapses.currents import DenseInput
    from neurosush.synapses.init import WeightInit
    from neurosush.synapses.plasticity import STDP
    from neurosush.synapses.traces import SpikeGather, Traces

    batch = None if case["batch"] == 1 else case["batch"]
    network = Network(seed=0, batch_size=batch)
    frames = torch.rand(FRAMES, case["batch"], 784) < case["input_rate"]
    inputs = NeuronGroup(network, 784, [SpikeInput(itertools.cycle(frames)), Axon()])
    outputs = NeuronGroup(
        network,
        case["n"],
        [
            DendriteStructure(), DendriteIntegration(),
            LIF(tau=10.0, threshold=-55.0, v_reset=-70.0, v_rest=-65.0), KWTA(k=5), Fire(),
            ActivityHomeostasis(target_spikes=5, window=100, rate=0.1), Axon(),
        ],
    )  # fmt: skip
    plasticity = [
        WeightInit(mode="uniform"), DenseInput(coef=2.0), SpikeGather(), Traces(tau_pre=10.0),
        STDP(a_plus=0.01, a_minus=0.005, bound="soft"), WeightNormalization(norm=78.4),
    ]  # fmt: skip
    SynapseGroup(network, inputs, outputs, plasticity)
    network.initialize()
    return network, outputs


def fastest(case: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """The network, eager or compiled, with one thread or all: what steps it, its output neurons, and which it is."""
    import torch
    from neurosush.core.compiled import CompiledStepper

    tried = []
    for name, wrap in (("eager", lambda network: network), ("compiled", CompiledStepper)):
        torch.set_num_threads(1)
        network, outputs = build(case)
        try:
            stepper = wrap(network)
            stepper.run(120)  # over the end of a window of the homeostasis, for which the step is compiled again
        except (ValueError, RuntimeError):  # a rule that cannot be compiled unbatched, or no C++ compiler
            continue
        threads, seconds = clock.best_threads(torch.set_num_threads, functools.partial(steps, stepper, 50))
        tried.append((seconds, {"stepper": name, "threads": threads}, stepper, outputs))
    _, choice, stepper, outputs = min(tried, key=lambda x: x[0])
    torch.set_num_threads(choice["threads"])
    return stepper, outputs, choice


def steps(stepper: Any, n: int) -> int:
    """Run `n` steps; returns `n`."""
    stepper.run(n)
    return n


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    stepper, outputs, choice = fastest(case)
    per_second = clock.rate(functools.partial(steps, stepper, 50), case["seconds"])
    fired = 0
    for _ in range(50):
        stepper.run(1)
        fired += int(outputs.spikes.sum())
    clock.report(per_second=per_second, version=version("neurosush"), output_spikes=fired / 50, **choice)


if __name__ == "__main__":
    main()
