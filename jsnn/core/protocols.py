"""The protocols of jsnn: what an encoder, a synapse, a neuron, a learning rule and an inhibition have to offer.

A class with these methods is enough; it needs no base class. Units everywhere: milliseconds, millivolts, hertz. Shapes
are written `[n_steps, batch, n_neurons]`. `dt` is the length of a time step in ms.
"""

from typing import Any, Literal, Protocol, runtime_checkable

from jax import Array

from jsnn.core.trace import Trace

Reduction = Literal["sum", "mean", "max", "mean_fired"]  # of a batch (jsnn.engines.plasticity)
State = Any  # a pytree: what a component needs for its next step, and nothing else


class Encoder(Protocol):
    """An encoder turns one image into its whole input raster, before the network runs.

    An encoder sees pixel values, not their places: pixels that are 0, which never fire, may be left out of the image.
    """

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Encode one image as input spikes.

        Args:
            key: Random key.
            image: Pixel values in [0, 1], float32[n_input]. A pixel that is 0 never fires.
            n_steps: Number of time steps.
            dt: Time step, ms.

        Returns:
            The input spikes, bool[n_steps, n_input].
        """
        ...


class Synapse(Protocol):
    """A synapse turns weighted incoming spikes into the current that drives the membrane."""

    def init(self, shape: tuple[int, ...]) -> State:
        """Create the state at the start of a presentation.

        Args:
            shape: Shape of the layer, usually (batch, n_neurons).

        Returns:
            The state of synapses on which no spike has arrived yet.
        """
        ...

    def step(
        self, state: State, excitation: Array, inhibition: Array | float, v: Array, dt: Array | float
    ) -> tuple[State, Array]:
        """Advance by one time step.

        Args:
            state: State before the step.
            excitation: Sum of the weights of the input spikes that arrive in this step, [batch, n_neurons].
            inhibition: Sum of the weights of the inhibitory spikes that arrive in this step, <= 0, [batch, n_neurons].
            v: Membrane potential at the start of the step, mV, [batch, n_neurons].
            dt: Time step, ms.

        Returns:
            The state after the step, and the current during the step in the unit that the neuron integrates.
        """
        ...

    def current_bound(self, state: State, v: Array, dt: Array | float) -> Array:
        """Bound the sum of the currents of all steps to come, if no further spike arrives.

        Args:
            state: State now.
            v: Membrane potential now, mV, [batch, n_neurons].
            dt: Time step, ms.

        Returns:
            An upper bound of the sum of the positive currents, [batch, n_neurons].
        """
        ...


class Adaptation(Protocol):
    """An adaptation moves a neuron's threshold with its spikes: the threshold is `v_threshold + theta`.

    theta is learned state, mV, [n_neurons].
    """

    @property
    def theta_0(self) -> float:
        """Theta of an untrained neuron, mV."""
        ...

    @property
    def theta_plus(self) -> float:
        """Increment of theta at a spike, mV."""
        ...

    @property
    def clock(self) -> Literal["presentation", "step"]:
        """Whether theta decays once a presentation or once a time step."""
        ...

    def init(self, n_neurons: int) -> Array:
        """Create theta of untrained neurons, mV, float32[n_neurons]."""
        ...

    def decay_step(self, theta: Array, dt: Array | float) -> Array:
        """Decay theta (mV, [n_neurons]) over one time step of `dt` ms; unchanged if presentations are the clock."""
        ...

    def decay_presentations(self, theta: Array, n: Array, duration: Array | float) -> Array:
        """Decay theta over whole presentations; unchanged if time steps are the clock.

        Args:
            theta: Adaptive part of the thresholds, mV, [n_neurons].
            n: Number of presentations.
            duration: Duration of one presentation, ms.

        Returns:
            theta afterwards, mV, [n_neurons].
        """
        ...


class Neuron(Protocol):
    """A neuron is a membrane: `integrate` moves its potential by one step, `fire` applies a spike to it.

    They are two functions because what lies between them, which of the neurons that cross their threshold in the same
    step may fire, is decided by the network. A neuron's state has a field `v`, the potential in mV, which a
    `jsnn.engines.dense.Recording` shows.
    """

    @property
    def adaptation(self) -> Adaptation | None:
        """Adaptation of the threshold; None for a fixed threshold."""
        ...

    @property
    def v_threshold(self) -> float:
        """Threshold without its adaptive part, mV."""
        ...

    @property
    def v_reset(self) -> float:
        """Potential after a spike, mV."""
        ...

    def init(self, shape: tuple[int, ...]) -> State:
        """Create the state at the start of a presentation.

        Args:
            shape: Shape of the layer, usually (batch, n_neurons).

        Returns:
            The state of neurons at rest.
        """
        ...

    def noise(self, key: Array, shape: tuple[int, ...]) -> State:
        """Draw the random numbers of one time step.

        Args:
            key: Random key of the step.
            shape: Shape of the layer, usually (batch, n_neurons).

        Returns:
            Arrays of that shape; () for a deterministic neuron.
        """
        ...

    def integrate(
        self, state: State, current: Array, theta: Array, dt: Array | float, noise: State
    ) -> tuple[State, Array]:
        """Advance by one time step, up to its spikes.

        Args:
            state: State before the step.
            current: Input of the step, mV, [batch, n_neurons].
            theta: Adaptive part of the threshold, mV, [n_neurons].
            dt: Time step, ms.
            noise: Random numbers of the step, from `noise`.

        Returns:
            The state after the step, and by how many mV each potential exceeds its threshold, [batch, n_neurons]. A
            neuron crosses its threshold where the excess is >= 0.
        """
        ...

    def fire(self, state: State, spikes: Array) -> State:
        """Reset the neurons that spiked and make them refractory.

        Args:
            state: State before the reset.
            spikes: Neurons to reset, bool[batch, n_neurons].

        Returns:
            The state after the reset.
        """
        ...


@runtime_checkable
class CurrentDriven(Protocol):
    """A neuron that can be driven by a steady current, as `jsnn.simulate_neuron` does."""

    def drive(self, current: Array | float, dt: Array | float) -> Array | float:
        """Convert a steady current to the input of one time step.

        Args:
            current: The current R * I, expressed as the depolarisation at which the membrane would settle, mV.
            dt: Time step, ms.

        Returns:
            The input that `integrate` takes in each step, mV.
        """
        ...


@runtime_checkable
class LinearSubthreshold(Neuron, Protocol):
    """A neuron that sums its input linearly until it fires, so that several steps have a closed form."""

    def excess_bound(self, state: State, total: Array, n_steps: int, dt: Array | float) -> Array:
        """Bound the excess over the threshold in any of the next steps.

        Args:
            state: State now.
            total: Sum of the positive inputs of the next `n_steps` steps, mV, [batch, n_neurons].
            n_steps: Number of steps.
            dt: Time step, ms.

        Returns:
            An upper bound of v - v_threshold (without theta), mV; infinity for a neuron that is not linear now, for
            example because it is refractory.
        """
        ...

    def kernel(self, n_steps: int, dt: Array | float) -> Array:
        """Compute how the input of each step moves the potential after the last one.

        Args:
            n_steps: Number of steps.
            dt: Time step, ms.

        Returns:
            The factor of each step's input, float32[n_steps].
        """
        ...

    def advance(self, state: State, displacement: Array, n_steps: int, dt: Array | float) -> State:
        """Advance by several steps without a spike, in closed form.

        Args:
            state: State now.
            displacement: What the inputs of these steps add to the last potential, kernel @ inputs, mV,
                [batch, n_neurons].
            n_steps: Number of steps.
            dt: Time step, ms.

        Returns:
            The state after `n_steps` steps.
        """
        ...


@runtime_checkable
class BoundedPotential(Neuron, Protocol):
    """A neuron whose future potential can be bounded from the input that is still to come."""

    def potential_bound(self, state: State, current_bound: Array, dt: Array | float) -> Array:
        """Bound the potential in all steps to come.

        Args:
            state: State now.
            current_bound: Upper bound of the sum of the positive currents still to come, [batch, n_neurons].
            dt: Time step, ms.

        Returns:
            An upper bound of the potential, mV, [batch, n_neurons].
        """
        ...


class Rule(Protocol):
    """A rule of local plasticity: two elementwise functions and the traces that they read.

        dw[i, j] = s_pre[i] * on_pre(w[i, j], pre[i], post[j]) + size[j] * on_post(w[i, j], pre[i], post[j])

    `pre` and `post` are the traces *after* this step's spikes; `size` is 1 at a postsynaptic spike, or the slow trace
    (`slow_trace`), and 0 otherwise. `on_pre` is affine in `post` and does not read `pre`; `on_post` is affine in `pre`
    and does not read `post`: so a sum over a batch of presentations is one matrix product per function
    (`jsnn.engines.plasticity`). The contract tests check all this.
    """

    @property
    def w_min(self) -> float:
        """Lower bound of a weight, mV."""
        ...

    @property
    def w_max(self) -> float:
        """Upper bound of a weight, mV."""
        ...

    @property
    def pre_trace(self) -> Trace:
        """Trace of a presynaptic neuron's spikes."""
        ...

    @property
    def post_trace(self) -> Trace | None:
        """Trace of a postsynaptic neuron's spikes; None where presynaptic spikes change no weight."""
        ...

    @property
    def slow_trace(self) -> Trace | None:
        """Second trace of a postsynaptic neuron, for triplets of spikes.

        The size of a postsynaptic spike is the value of this trace *before* the spike. None: every spike has size 1.
        """
        ...

    @property
    def updates_silent_inputs(self) -> bool:
        """Whether a postsynaptic spike also changes the synapses of inputs that have been silent.

        That is, on_post(w, 0, post) is not 0. It cannot be combined with a slow trace.
        """
        ...

    def on_pre(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute the weight change at a presynaptic spike.

        Args:
            w: Weights before the step, mV.
            pre: Presynaptic traces; not read.
            post: Postsynaptic traces.

        Returns:
            The weight change, mV, of the arguments' common shape.
        """
        ...

    def on_post(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute the weight change at a postsynaptic spike of size 1.

        Args:
            w: Weights before the step, mV.
            pre: Presynaptic traces.
            post: Postsynaptic traces; not read.

        Returns:
            The weight change, mV, of the arguments' common shape.
        """
        ...


class Inhibition(Protocol):
    """A lateral inhibition: how the spikes of excitatory neurons silence other excitatory neurons."""

    @property
    def strength(self) -> float:
        """Total inhibition that one spike causes in each other neuron, mV."""
        ...

    def init(self, shape: tuple[int, ...]) -> State:
        """Create the state at the start of a presentation, for a layer of `shape`, usually (batch, n_neurons)."""
        ...

    def step(self, state: State, spikes: Array, dt: Array | float) -> tuple[State, Array]:
        """Advance by one time step.

        Args:
            state: State before the step.
            spikes: Excitatory spikes of the step before, bool[batch, n_neurons].
            dt: Time step, ms.

        Returns:
            The state after the step, and the inhibition of each excitatory neuron, <= 0, mV, [batch, n_neurons].
        """
        ...
