"""The words of jsnn as types: what an encoder, a neuron, a rule and an inhibition are.

Units everywhere: milliseconds, millivolts, hertz. Shapes are written `[n_steps, batch, n_neurons]`.
"""

from typing import Any, Literal, Protocol, runtime_checkable

from jax import Array

from jsnn.core.trace import Trace

Reduction = Literal["sum", "mean", "max", "mean_fired"]  # of a batch (jsnn.engines.plasticity)
State = Any  # a pytree: what a component needs for its next step, and nothing else


class Encoder(Protocol):
    """Turns one image into the whole input raster, before the network runs.

    It sees pixels, not their places: dark ones, which never fire, may be left out of the image.
    """

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Spikes `bool[n_steps, n_input]` for `image` `float32[n_input]` in [0, 1]; `dt` in ms. A zero pixel never
        fires.
        """
        ...


class Synapse(Protocol):
    """From the spikes that arrive at a neuron, weighted, to the current into its membrane."""

    def init(self, shape: tuple[int, ...]) -> State:
        """The state at the start of a presentation."""
        ...

    def step(
        self, state: State, excitation: Array, inhibition: Array | float, v: Array, dt: Array | float
    ) -> tuple[State, Array]:
        """The state after one step, and the current meanwhile, in the unit that the neuron integrates.

        What arrives is weighted: `excitation` from the inputs, `inhibition` (<= 0) from other neurons. `v` is the
        potential at the start of the step, mV.
        """
        ...

    def current_bound(self, state: State, v: Array, dt: Array | float) -> Array:
        """An upper bound of what the currents of all steps to come sum to, if nothing more arrives and the potential is
        `v` now.
        """
        ...


class Adaptation(Protocol):
    """A threshold that moves with its neuron's spikes: the neuron's threshold is `v_threshold + theta`. theta is
    learned state, mV, `[n_neurons]`.
    """

    @property
    def theta_0(self) -> float:
        """mV, theta of an untrained neuron."""
        ...

    @property
    def theta_plus(self) -> float:
        """mV that a spike adds to theta."""
        ...

    @property
    def clock(self) -> Literal["presentation", "step"]:
        """What the decay of theta counts."""
        ...

    def init(self, n_neurons: int) -> Array:
        """theta of untrained neurons."""
        ...

    def decay_step(self, theta: Array, dt: Array | float) -> Array:
        """theta after one step of `dt` ms without spikes."""
        ...

    def decay_presentations(self, theta: Array, n: Array, duration: Array | float) -> Array:
        """theta after `n` presentations of `duration` ms."""
        ...


class Neuron(Protocol):
    """A membrane. `integrate` moves the potential by one step, `fire` does what a spike does to the membrane.

    They are two functions because what lies between them (who wins among the neurons that cross in the same step) is
    the network's business, not the membrane's. A neuron's state has the potential `v` (mV) among its fields: a
    `jsnn.engines.dense.Recording` shows it.
    """

    @property
    def adaptation(self) -> Adaptation | None:
        """How the threshold adapts; None for a fixed threshold."""
        ...

    @property
    def v_threshold(self) -> float:
        """mV, without the adaptive part."""
        ...

    @property
    def v_reset(self) -> float:
        """mV, after a spike."""
        ...

    def init(self, shape: tuple[int, ...]) -> State:
        """The state at the start of a presentation."""
        ...

    def noise(self, key: Array, shape: tuple[int, ...]) -> State:
        """What is random in one step of so many neurons: arrays of this shape; () for a deterministic neuron."""
        ...

    def integrate(
        self, state: State, current: Array, theta: Array, dt: Array | float, noise: State
    ) -> tuple[State, Array]:
        """The state after one step of `current`, and by how many mV each neuron is over its threshold.

        `theta` (mV) is the adaptive part of the threshold. A neuron crosses where the excess is >= 0.
        """
        ...

    def fire(self, state: State, spikes: Array) -> State:
        """The state after the neurons in `spikes` (bool) were reset and made refractory."""
        ...


@runtime_checkable
class CurrentDriven(Protocol):
    """A neuron that can be driven by a steady current, as `jsnn.simulate_neuron` does."""

    def drive(self, current: Array | float, dt: Array | float) -> Array | float:
        """What `integrate` takes in a step of `dt` ms under a steady current R * I: the depolarisation (mV) at which
        the membrane would settle.
        """
        ...


@runtime_checkable
class LinearSubthreshold(Neuron, Protocol):
    """A neuron that sums its input linearly until it fires: several steps of it can be taken at once."""

    def excess_bound(self, state: State, total: Array, n_steps: int, dt: Array | float) -> Array:
        """An upper bound (mV) of the excess, theta apart, in any of `n_steps` steps in which currents arrive whose
        positive parts sum to `total` mV; infinity for a neuron that would not sum them linearly just now.
        """
        ...

    def kernel(self, n_steps: int, dt: Array | float) -> Array:
        """How much a current in each of `n_steps` steps moves the potential after the last: `float32[n_steps]`."""
        ...

    def advance(self, state: State, displacement: Array, n_steps: int, dt: Array | float) -> State:
        """The state after `n_steps` without a spike, in which kernel @ currents is `displacement` (mV)."""
        ...


@runtime_checkable
class BoundedPotential(Neuron, Protocol):
    """A neuron of which can be told how high its potential will get."""

    def potential_bound(self, state: State, current_bound: Array, dt: Array | float) -> Array:
        """An upper bound (mV) of the potential in all steps to come, if positive currents sum to `current_bound`."""
        ...


class Rule(Protocol):
    """Local plasticity: two elementwise functions and the traces they read.

        dw[i, j] = s_pre[i] * on_pre(w[i, j], pre[i], post[j]) + size[j] * on_post(w[i, j], pre[i], post[j])

    `pre` and `post` are the traces *after* this step's spikes; `size` is 1 at a postsynaptic spike, or the slow trace
    (`slow_trace`), and 0 otherwise. `on_pre` is affine in `post` and does not read `pre`; `on_post` is affine in `pre`
    and does not read `post`: so a sum over a batch of presentations is one matrix product per function
    (`jsnn.engines.plasticity`). The contract tests hold all this.
    """

    @property
    def w_min(self) -> float:
        """mV, the lower bound of a weight."""
        ...

    @property
    def w_max(self) -> float:
        """mV, the upper bound of a weight."""
        ...

    @property
    def pre_trace(self) -> Trace:
        """How presynaptic neurons' traces move."""
        ...

    @property
    def post_trace(self) -> Trace | None:
        """How postsynaptic neurons' traces move; None: a presynaptic spike changes nothing."""
        ...

    @property
    def slow_trace(self) -> Trace | None:
        """A second trace of the postsynaptic neuron, for triplets of spikes: a postsynaptic spike counts as much as
        this trace *before* it. None: every spike counts as one.
        """
        ...

    @property
    def updates_silent_inputs(self) -> bool:
        """Whether a postsynaptic spike also changes the synapses of inputs that have been silent: on_post(w, 0) is not
        0. Not together with a slow trace.
        """
        ...

    def on_pre(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """dw at a presynaptic spike."""
        ...

    def on_post(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """dw at a postsynaptic spike."""
        ...


class Inhibition(Protocol):
    """How excitatory neurons silence each other."""

    @property
    def strength(self) -> float:
        """mV that one spike takes, in the end, from another neuron."""
        ...

    def init(self, shape: tuple[int, ...]) -> State:
        """The state at the start of a presentation."""
        ...

    def step(self, state: State, spikes: Array, dt: Array | float) -> tuple[State, Array]:
        """From the excitatory spikes of the step before: the new state and the current (mV, <= 0) it sends back."""
        ...
