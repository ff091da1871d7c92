"""e-prop: learning by what each synapse can know."""

from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jsnn.evolution import Dynamics, run
from jsnn.feedforward import Feedforward, Lesson, Measured, Params, Response
from jsnn.learners.optimiser import Optimiser
from jsnn.neurons import IF, LIF
from jsnn.pytree import node, static
from jsnn.ranges import Seed


@node
class EProp:
    """e-prop (Bellec et al. 2020) for dense layers and an output of membranes that never fire.

        e_ij(t) = psi_j(t) sum_(s<=t) alpha^(t-s) z_i(s)       eligibility of a synapse: eqs 13 and 22
        L_j(t)  = sum_k B_jk (pi_k(t) - y_k)                   learning signal of a neuron: eq. 4, pi the softmax of
                                                               the outputs at t, y the label
        dw_ij   = -eta sum_t L_j(t) sum_(s<=t) kappa^(t-s) e_ij(s)                                    eq. 28
        dw_jk   = -eta sum_t (pi_k(t) - y_k) sum_(s<=t) kappa^(t-s) z_j(s)                            eq. 30

    z are spikes, psi the surrogate's slope, alpha and kappa what is left of a membrane and of an output after a step.
    B is fixed and random (feedback alignment, Lillicrap et al. 2016), or with one hidden layer the transpose of the
    output weights ("symmetric"). Every hidden layer hears the output's errors itself (broadcast): no error travels from
    layer to layer, none through time, and none through the reset.

    A synapse would run the sums over s forwards, from step to step. Here they are exchanged: sum_t a(t) sum_(s<=t)
    c^(t-s) b(s) = sum_s b(s) sum_(t>=s) c^(t-s) a(t), so that the sums run over neurons instead of synapses and the
    update is one product over time and batch. The numbers are the same.
    """

    feedback: Literal["random", "symmetric"] = static(default="random")
    feedback_seed: Seed = 0
    optimiser: Optimiser = Optimiser()

    def gradient(self, network: Feedforward, params: Params, lesson: Lesson) -> tuple[Params, Measured]:
        """See `jsnn.learners.Learner`; no dropout. `network` has dense layers, and the readout "membrane"."""
        x, labels, n_steps, dt = lesson.x, lesson.labels, lesson.n_steps, lesson.dt
        batch, neurons = x.shape[1], network.neurons(params)
        seen, slopes, kept = [x.reshape(len(x), batch, -1)], [], [n.kernel(2, dt)[0] for n in neurons]
        for i, neuron in enumerate(neurons):
            flat = network.project(params, i, seen[-1].reshape(-1, seen[-1].shape[-1]))
            spikes, slope = _layer(network, neuron, flat.reshape(*seen[-1].shape[:2], -1), n_steps, dt, i)
            seen.append(spikes)
            slopes.append(slope)
        output = seen.pop()
        loss = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(output, labels[None]))
        error = (jax.nn.softmax(output) - jax.nn.one_hot(labels, output.shape[-1])) / (batch * n_steps)
        error = _from_later(error, kept[-1])
        wanted = []
        for i, spikes in enumerate(seen):
            signal = error
            if i < len(seen) - 1:
                signal = _from_later(slopes[i] * (error @ self._back(params, i, slopes[i].shape[-1])), kept[i])
            if len(spikes) < n_steps:  # a constant input
                signal = jnp.sum(signal, axis=0, keepdims=True)
            own = {"kernel": jnp.einsum("tbi,tbj->ij", spikes, signal)}
            wanted.append({"Dense_0": own | ({"bias": jnp.sum(signal, axis=(0, 1))} if network.bias else {})})
        response = Response(output=output, spikes=tuple(jnp.sum(s, axis=(0, 2)) for s in seen[1:]))
        return {"synapses": wanted, "neurons": params["neurons"]}, Measured.of(loss, response, labels)

    def _back(self, params: Params, i: int, n: int) -> Array:
        """B of hidden layer `i` of n neurons, [n_classes, n]."""
        out = params["synapses"][-1]["Dense_0"]["kernel"]
        if self.feedback == "symmetric":
            return out.T
        key = jax.random.fold_in(jax.random.key(self.feedback_seed), i)
        return jax.random.normal(key, (out.shape[1], n)) / jnp.sqrt(n)


def _layer(
    network: Feedforward, neuron: IF | LIF, current: Array, n_steps: int, dt: Array | float, i: int
) -> tuple[Array, Array | None]:
    """Spikes of each step and the surrogate's slopes; potentials and None of layer `i` if it is the output."""
    fires = i < len(network.layers) - 1
    dynamics = Dynamics(neuron=neuron, surrogate=network.surrogate, dt=dt, fires=fires)
    states, _, seen = run(dynamics, neuron.init(current.shape[1:]), current, n_steps)
    return seen, network.surrogate.slope(dynamics.excess(states.v)) if fires else None


def _from_later(x: Array, kept: Array) -> Array:
    """sum_(t>=s) kept^(t-s) x(t) for each step s of `x` [n_steps, ...]."""

    def step(later, here):
        later = kept * later + here
        return later, later

    return jax.lax.scan(step, jnp.zeros(x.shape[1:], x.dtype), x, reverse=True)[1]
