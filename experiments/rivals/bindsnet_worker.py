"""BindsNET's side of experiments/benchmark.py: its two-layer network, as its MNIST examples run it.

BindsNET is AGPL-3.0: it is run, in an environment of its own (see benchmark.py --help), never copied.
"""
# pyright: reportMissingImports=false

import importlib.util
import sys
import types
from importlib.metadata import version

import clock


def lean_import() -> None:
    """Let BindsNET be imported without the games, plots and data sets that its packages load at once.

    A bare package stands in for bindsnet/__init__.py, and for scipy's distances, which another model uses.
    """
    spec = importlib.util.find_spec("bindsnet")
    if spec is None:
        raise ModuleNotFoundError("No module named 'bindsnet'")
    package = types.ModuleType("bindsnet")
    package.__path__ = list(spec.submodule_search_locations or [])
    sys.modules["bindsnet"] = package
    if importlib.util.find_spec("scipy") is None:
        distance = types.ModuleType("scipy.spatial.distance")
        distance.euclidean = None  # pyright: ignore[reportAttributeAccessIssue]
        sys.modules |= {"scipy": distance, "scipy.spatial": distance, "scipy.spatial.distance": distance}


def main() -> None:
    """Measure one case."""
    case = clock.read_case()
    lean_import()
    import bindsnet.network  # noqa: F401 (first: it and bindsnet.learning import each other)
    import torch
    from bindsnet.encoding import PoissonEncoder
    from bindsnet.models import DiehlAndCook2015v2
    from bindsnet.network.monitors import Monitor

    torch.manual_seed(0)
    steps, batch = case["steps"], case["rival_batch"]
    network = DiehlAndCook2015v2(
        n_inpt=784,
        n_neurons=case["n"],
        inh=case["inhibition"],
        theta_plus=case["theta_plus"],
        tc_theta_decay=case["tau_theta"],
        reduction=torch.sum,
    )
    start = clock.learned(case)
    if start is not None:
        network.connections["X", "Y"].w.data.copy_(torch.from_numpy(start["weights"]))
        network.layers["Y"].theta.copy_(torch.from_numpy(start["theta"]))
    network.train(case["learning"])
    network.add_monitor(Monitor(network.layers["Y"], ["s"], time=steps), "spikes")
    encode = PoissonEncoder(time=steps, dt=1.0)
    shown = clock.images(case, batch)
    spikes = {"input": 0, "output": 0, "images": 0}

    def present() -> int:
        pixels = torch.from_numpy(next(shown)).float() * (case["intensity"] / 255.0)
        raster = torch.stack([encode(image) for image in pixels], dim=1)
        network.run({"X": raster}, time=steps)
        counts = network.monitors["spikes"].get("s").sum(0)
        network.reset_state_variables()
        spikes["input"] += int(raster.sum())
        spikes["output"] += int(counts.sum())
        spikes["images"] += batch
        return batch

    threads, _ = clock.best_threads(torch.set_num_threads, present)
    per_second = clock.rate(present, case["seconds"], warm_up=0)
    clock.report(
        per_second=per_second,
        version=version("bindsnet"),
        input_spikes=spikes["input"] / spikes["images"],
        output_spikes=spikes["output"] / spikes["images"],
        threads=threads,
    )


if __name__ == "__main__":
    main()
