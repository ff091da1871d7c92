"""Write spikes, losses and gradients of a small network by snnTorch, Norse and SpikingJelly, for
tests/test_surrogate_rivals.py.

    python3.11 -m venv torch
    torch/bin/pip install torch==2.13.0 numpy nir==1.0.8 nirtorch==2.6 scipy matplotlib loguru tensorboard pandas
    torch/bin/pip install tqdm packaging requests
    torch/bin/pip install --no-deps snntorch==1.0.0 norse==1.1.0 spikingjelly==2.0.0
    torch/bin/python tests/golden/make_surrogate.py

It takes seconds, draws its numbers from a seed, and writes surrogate.npz beside itself:

    x [12, 4, 6], w0 [6, 5], w1 [5, 3], labels [4], and the numbers of the neurons (see NUMBERS)
    <case>/spikes0, <case>/spikes1      bool, of both layers
    <case>/loss, <case>/dw0, <case>/dw1  cross-entropy of the spike counts, and its gradients
    snntorch_training/losses, .../w0, .../w1    20 updates of Adam, and the weights after them
    snntorch_stepwise/loss              the mean over the steps of the cross-entropy of each

All is float64. snnTorch makes its spikes with Tensor.float(), which would cut what flows back through them to float32:
it is Tensor.double() here, and nothing else is changed in any of the three.

No potential comes within 1e-6 of the threshold: whether a neuron fires at the threshold itself differs (SpikingJelly's
does, as ours; the others' do not), and the order of sums must not matter. None of snnTorch's
whose reset is subtracted at once reaches twice the threshold, from where it would fire as if it were subtracted late.
"""

import importlib.metadata
from pathlib import Path

import numpy as np
import snntorch
import snntorch.functional
import torch
from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step
from norse.torch.functional.reset import reset_subtract, reset_value
from spikingjelly.activation_based import neuron, surrogate

T, BATCH = 12, 4
NUMBERS = {"decay": 0.8, "atan_alpha": 2.0, "fast_sigmoid_slope": 5.0, "triangle_alpha": 0.7}
N_UPDATES, LEARNING_RATE = 20, 0.02


def snntorch_layer(surrogate_name, reset, delay):
    """snnTorch's Leaky; a delayed reset is that of the step before, and no gradient goes through it."""
    spike_grad = {
        "atan": snntorch.surrogate.atan(NUMBERS["atan_alpha"]),
        "fast_sigmoid": snntorch.surrogate.fast_sigmoid(NUMBERS["fast_sigmoid_slope"]),
    }[surrogate_name]

    def layer(currents):
        leaky = snntorch.Leaky(
            NUMBERS["decay"], spike_grad=spike_grad, reset_mechanism=reset, reset_delay=delay
        ).double()
        leaky.beta = torch.tensor(NUMBERS["decay"], dtype=torch.float64)
        mem, spikes, potentials = torch.zeros_like(currents[0]), [], []
        for current in currents:
            spike, mem = leaky(current, mem)
            spikes.append(spike)
            # before the reset, if that came in this step
            assert delay or reset == "zero" or torch.max(mem) < 1.0, "the potential was twice the threshold"
            lost = torch.nan if reset == "zero" else 1.0
            potentials.append(mem if delay else torch.where(spike > 0, mem + lost, mem))
        return torch.stack(spikes), torch.stack(potentials)

    return layer


def norse_layer(method, reset):
    """Norse's LIF without a synaptic current, integrated by Euler's method: v <- decay v + (1 - decay) I.

    alpha is the height of "triangle"; "super" of Norse 1.1.0 does not read it, its slope is 1 / (1 + |x|)^2.
    """
    parameters = LIFBoxParameters(
        tau_mem_inv=torch.tensor((1.0 - NUMBERS["decay"]) / 0.001, dtype=torch.float64),
        method=method,
        alpha=torch.tensor(NUMBERS["triangle_alpha"], dtype=torch.float64),
        reset_method=reset,
    )

    def layer(currents):
        state, spikes, potentials = LIFBoxFeedForwardState(v=torch.zeros_like(currents[0])), [], []
        for current in currents:
            potentials.append(state.v + (1.0 - NUMBERS["decay"]) * (current - state.v))
            spike, state = lif_box_feed_forward_step(current, state, parameters, dt=0.001)
            spikes.append(spike)
        return torch.stack(spikes), torch.stack(potentials)

    return layer


def spikingjelly_layer(v_reset, detach):
    """SpikingJelly's LIFNode, whose input does not decay: v <- decay v + I."""

    def layer(currents):
        node = neuron.LIFNode(
            tau=1.0 / (1.0 - NUMBERS["decay"]), decay_input=False, v_threshold=1.0, v_reset=v_reset,
            surrogate_function=surrogate.ATan(NUMBERS["atan_alpha"]), detach_reset=detach,
        ).double()  # fmt: skip
        spikes, potentials, v = [], [], torch.zeros_like(currents[0])
        for current in currents:
            potentials.append(NUMBERS["decay"] * v + current)
            spikes.append(node(current))
            v = node.v
        return torch.stack(spikes), torch.stack(potentials)

    return layer


CASES = {
    **{
        f"snntorch_{s}_{reset}_{'delayed' if delay else 'at_once'}": snntorch_layer(s, reset, delay)
        for s in ("atan", "fast_sigmoid")
        for reset in ("zero", "subtract")
        for delay in (True, False)
    },
    "norse_super_hard": norse_layer("super", reset_value),
    "norse_super_soft": norse_layer("super", reset_subtract),
    "norse_triangle_hard": norse_layer("triangle", reset_value),
    **{
        f"spikingjelly_{reset}{'_detached' if detach else ''}": spikingjelly_layer(v_reset, detach)
        for reset, v_reset in (("hard", 0.0), ("soft", None))
        for detach in (True, False)
    },
}


def respond(layer, x, weights):
    """Spikes of both layers, from the first to the last step."""
    spikes = []
    for w in weights:
        x, potentials = layer(x @ w)
        known = potentials[~torch.isnan(potentials)]
        assert torch.min(torch.abs(known - 1.0)) > 1e-6, "too close to the threshold"
        spikes.append(x)
    return spikes


def main():
    """Run all cases."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    rng = np.random.default_rng(3)
    x = torch.tensor(rng.uniform(0.0, 1.0, (T, BATCH, 6)))
    first = [torch.tensor(rng.uniform(-0.2, most, shape)) for most, shape in ((0.4, (6, 5)), (0.8, (5, 3)))]
    labels = torch.tensor(rng.integers(0, 3, BATCH))
    out = {"x": x, "w0": first[0], "w1": first[1], "labels": labels} | NUMBERS
    count_loss = snntorch.functional.ce_count_loss()
    for name, layer in CASES.items():
        scale = 5.0 if name.startswith("norse") else 1.0  # its currents are multiplied by 1 - decay
        weights = [(scale * w).requires_grad_() for w in first]
        spikes = respond(layer, x, weights)
        loss = count_loss(spikes[-1], labels)
        gradients = torch.autograd.grad(loss, weights)
        for i in range(2):
            assert 0.1 < spikes[i].mean() < 0.5, f"{name}: {spikes[i].mean():.2f} spikes a step"
            out[f"{name}/spikes{i}"] = spikes[i].detach().numpy() > 0
            out[f"{name}/dw{i}"] = gradients[i]
        out[f"{name}/loss"] = loss
        print(f"{name:40} loss {loss.item():.6f}, spikes a step {[round(s.mean().item(), 3) for s in spikes]}")

    layer = CASES["snntorch_atan_zero_delayed"]
    out["snntorch_stepwise/loss"] = snntorch.functional.ce_rate_loss()(respond(layer, x, first)[-1], labels)
    weights = [w.clone().requires_grad_() for w in first]
    adam, losses = torch.optim.Adam(weights, lr=LEARNING_RATE), []
    for _ in range(N_UPDATES):
        adam.zero_grad()
        loss = count_loss(respond(layer, x, weights)[-1], labels)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    out |= {"snntorch_training/losses": losses, "snntorch_training/learning_rate": LEARNING_RATE}
    out |= {f"snntorch_training/w{i}": w for i, w in enumerate(weights)}
    print("training", losses[0], losses[-1])
    out["versions"] = [f"{p} {importlib.metadata.version(p)}" for p in ("torch", "snntorch", "norse", "spikingjelly")]
    arrays = {k: v.detach().numpy() if isinstance(v, torch.Tensor) else np.asarray(v) for k, v in out.items()}
    np.savez_compressed(Path(__file__).parent / "surrogate.npz", **arrays)


if __name__ == "__main__":
    main()
