"""What the workers of PyTorch's libraries share: updates by Adam, and how many threads."""
# pyright: reportMissingImports=false

import functools
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import clock
import torch
from torch import Tensor, nn


def linears(case: dict[str, Any]) -> list[nn.Linear]:
    """The synapses of each layer."""
    return [nn.Linear(a, b, bias=False) for a, b in zip(case["sizes"][:-1], case["sizes"][1:], strict=True)]


def step_by_step(
    case: dict[str, Any], synapses: nn.ModuleList, neurons: list[Any], start: Callable[[], list[Any]]
) -> Callable[[Tensor], Tensor]:
    """How a library whose neurons take one step at a time responds: neuron(current, state) is its spikes and its next
    state; `start` gives the states of a presentation.
    """

    def respond(x: Tensor) -> Tensor:
        states = start()
        out, current = [], synapses[0](x[0]) if case["constant"] else None
        for t in range(case["steps"]):
            spikes = x[t] if current is None else current
            for i, (w, neuron) in enumerate(zip(synapses, neurons, strict=True)):
                arriving = spikes if i == 0 and current is not None else w(spikes)
                spikes, states[i] = neuron(arriving, states[i])
            out.append(spikes)
        return torch.stack(out)

    return respond


def measure(case: dict[str, Any], package: str, model: nn.Module, respond: Callable[[Tensor], Tensor]) -> None:
    """Report updates a second of `model`, whose output spikes are `respond(x)` [n_steps, batch, 10] for x
    [n_steps or 1, batch, 784].
    """
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = [(torch.from_numpy(x), torch.from_numpy(labels).long()) for x, labels in clock.batches(case)]
    seen: list[dict[str, float]] = []

    def work(n: int = len(batches)) -> int:
        for x, labels in batches[:n]:
            adam.zero_grad(set_to_none=True)
            counts = respond(x).sum(dim=0)
            loss = nn.functional.cross_entropy(counts, labels)
            loss.backward()
            adam.step()
            if not seen:
                seen.append({"loss": loss.item(), "output_spikes": counts.sum().item() / len(labels)})
        return n

    threads, _ = clock.best_threads(torch.set_num_threads, functools.partial(work, 1))
    per_second = clock.rate(work, case["seconds"])
    clock.report(per_second=per_second, version=version(package), threads=threads, **seen[0])
