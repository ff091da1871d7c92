"""e-prop: learning by what each synapse can know."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jsnn.core import numerics
from jsnn.core.errors import InputError
from jsnn.core.pytree import node, static
from jsnn.core.ranges import Seed
from jsnn.grid.groups import Trial
from jsnn.learners.cost import Price
from jsnn.learners.gradient_learner import GradientLearner
from jsnn.learners.optimiser import Optimiser
from jsnn.networks.feedforward import BatchMetrics, Feedforward, LabelledBatch, Params, ReLU, Response
from jsnn.networks.unroll import Dynamics, unroll
from jsnn.neurons import IF, LIF


@node
class EProp(GradientLearner):
    """e-prop (Bellec et al. 2020) for dense layers and an output of membranes that never fire.

        eps_ij(t) = open_j(t) [alpha kept_j(t-1) eps_ij(t-1) + heard_j(t) z_i(t)]      how the potential of j depends on
                                                                                       the weight: eqs 13 and 22
        e_ij(t)   = psi_j(t) eps_ij(t)                                                 eligibility of a synapse
        L_j(t)    = sum_k B_jk (pi_k(t) - y_k)                   learning signal of a neuron: eq. 4, pi the softmax of
                                                                 the outputs at t, y the label
        dw_ij     = -eta sum_t L_j(t) sum_(s<=t) kappa^(t-s) e_ij(s)                                  eq. 28
        dw_jk     = -eta sum_t (pi_k(t) - y_k) sum_(s<=t) kappa^(t-s) z_j(s)                          eq. 30

    z are spikes, psi the surrogate's slope, alpha and kappa what is left of a membrane and of an output after a step.
    Three factors, each 1 or 0, make the eligibility forget what the membrane forgot: kept_j = 1 - z_j with a hard
    reset, which erases the potential (1 with a soft one, which moves it); heard_j is 0 while the neuron is refractory
    and drops what arrives; open_j is 0 where the potential is at its floor (for an output: kappa^(t-s) is 0 from then).

    B is fixed and random (feedback alignment, Lillicrap et al. 2016), or with one hidden layer the transpose of the
    output weights ("symmetric"). Every hidden layer hears the output's errors itself (broadcast): no error travels from
    layer to layer, none through the reset. With one hidden layer and symmetric feedback nothing is missing but the
    reset: the update is the gradient of the mean cross-entropy over the steps, as backpropagation through time finds it
    with `Feedforward.detach_reset`. Of more hidden layers it is the gradient of a network in which each of them had
    synapses B straight to the output, in the place of its way through the layers between.

    A synapse would run the sums over s forwards, from step to step. Here they are exchanged: what is added up over
    synapses forwards is added up over neurons backwards (`jsnn.networks.unroll.unroll` has that loop), and the update
    is one product over time and batch. The numbers are the same.
    """

    feedback: Literal["random", "symmetric"] = static(default="random")
    feedback_seed: Seed = 0
    optimiser: Optimiser = Optimiser()
    detaches_reset: ClassVar[bool] = True

    def gradient(self, network: Feedforward, params: Params, batch: LabelledBatch) -> tuple[Params, BatchMetrics]:
        """The update of e-prop as a gradient; no dropout. `network` has dense layers, and the readout "membrane"."""
        x, labels, n_steps, dt = batch.x, batch.labels, batch.n_steps, batch.dt
        n_batch, neurons = x.shape[1], network.neurons(params)
        seen, backwards = [x.reshape(len(x), n_batch, -1)], []
        for i, neuron in enumerate(neurons):
            flat = network.project(params, i, seen[-1].reshape(-1, seen[-1].shape[-1]))
            current = flat.reshape(*seen[-1].shape[:2], -1)
            made, back = jax.vjp(lambda c, i=i, n=neuron: _layer(network, n, c, n_steps, dt, i), current)
            seen.append(made)
            backwards.append(back)
        output = seen.pop()
        loss = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(output, labels[None]))
        error = (jax.nn.softmax(output) - jax.nn.one_hot(labels, output.shape[-1])) / (n_batch * n_steps)
        (signal,) = backwards[-1](error)  # the error that an output's current in each step makes from there on
        wanted = []
        for i, spikes in enumerate(seen):
            of_current = signal
            if i < len(seen) - 1:
                (of_current,) = backwards[i](signal @ self._back(params, i, seen[i + 1].shape[-1]))
            own = {"kernel": jnp.einsum("tbi,tbj->ij", spikes, of_current)}
            wanted.append({"Dense_0": own | ({"bias": jnp.sum(of_current, axis=(0, 1))} if network.bias else {})})
        arrived = jnp.broadcast_to(jnp.any(seen[-1] != 0, axis=-1), (n_steps, n_batch))
        response = Response(output=output, arrived=arrived, spikes=tuple(jnp.sum(s, axis=(0, 2)) for s in seen[1:]))
        return {"synapses": wanted, "neurons": params["neurons"]}, BatchMetrics.of(loss, response, labels)

    def check_network(self, trial: Trial, where: str) -> None:
        """Raises InputError for a network that e-prop cannot train."""
        network = trial.network
        if isinstance(network.neuron, ReLU) or network.readout != "membrane":
            raise InputError(f'{where}: e-prop is for spiking neurons and network.readout = "membrane"')
        if any(layer.kernel or layer.pooling for layer in network.layers):
            raise InputError(f"{where}: network.architecture = {network.architecture!r}: e-prop is for dense layers")
        if len(network.layers) < 2:
            raise InputError(f"{where}: network.architecture = {network.architecture!r}: e-prop is for hidden layers")
        if self.feedback == "symmetric" and len(network.layers) != 2:
            raise InputError(f'{where}: rule.feedback = "symmetric": it is for one hidden layer; take "random"')
        for name, there in {"learn": network.learn, "dropout": network.dropout, "chunk": network.chunk}.items():
            if there is not None and there != ():
                raise InputError(f"{where}: network.{name}: e-prop has none")
        if self.feedback == "symmetric" and self.feedback_seed != 0:
            why = "symmetric feedback draws nothing"
            raise InputError(f"{where}: rule.feedback_seed has no effect: {why}; leave it out")

    def learning_cost(self, network: Feedforward, answered: Price, n_steps: int) -> Price:
        """As with backpropagation, but each hidden neuron hears in every step of each output's error (a MAC each)."""
        n_classes = network.layers[-1].size
        errors = float(n_classes * (network.n_neurons - n_classes) * n_steps)
        return dataclasses.replace(answered, macs=answered.macs + errors)

    def _back(self, params: Params, i: int, n: int) -> Array:
        """B of hidden layer `i` of n neurons, [n_classes, n]."""
        out = params["synapses"][-1]["Dense_0"]["kernel"]
        if self.feedback == "symmetric":
            return out.T
        key = jax.random.fold_in(numerics.key(self.feedback_seed), i)
        return jax.random.normal(key, (out.shape[1], n)) / jnp.sqrt(n)


def _layer(network: Feedforward, neuron: IF | LIF, current: Array, n_steps: int, dt: Array | float, i: int) -> Array:
    """The spikes of layer `i` in each step, or potentials if it is the output."""
    fires = i < len(network.layers) - 1
    dynamics = Dynamics(neuron=neuron, surrogate=network.surrogate, dt=dt, fires=fires, detach_reset=True)
    return unroll(dynamics, neuron.init(current.shape[1:]), current, n_steps)[1]
