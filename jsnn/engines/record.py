"""What happens in a presentation, recorded step by step, for pictures and measurements."""

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.engines.dense import Recording


@node
class Record(Node):
    """One presentation, step by step. Step k ends k + 1 times `dt` after the start of the presentation.

    A record of a batch of presentations has one more axis, of the batch, in front of each of the shapes below (but for
    `dt`): `record.spikes` is bool[batch, n_steps, n_neurons].
    """

    input_spikes: Array  # bool[n_steps, n_input]: the spikes that the encoder sent; each arrives one step later
    spikes: Array  # bool[n_steps, n_neurons]: the spikes of the network's neurons
    v: Array  # mV, [n_steps, n_neurons]: membrane potentials at the end of the steps, before a spike resets them
    theta: Array  # mV, [n_steps, n_neurons]: the adaptive parts of the thresholds; zero for fixed thresholds
    threshold: Array  # mV, [n_steps, n_neurons]: what v is compared with; where v is below, the neuron does not fire,
    # unless its threshold is noisy (SRM0); where v reaches it, the winner-take-all may still silence the neuron
    dt: Array  # ms, of a step; a scalar

    def one(self, b: int) -> "Record":
        """Return presentation `b` of a batch."""
        return jax.tree.map(lambda x: x[b] if x.ndim else x, self)


def of(raster: Array, recording: Recording, v_threshold: Array | float, dt: Array | float) -> Record:
    """Create the record of a batch of presentations.

    Args:
        raster: Input spikes, bool[n_steps, batch, n_input].
        recording: What the dense engine has recorded of them.
        v_threshold: Threshold of the neurons without its adaptive part, mV.
        dt: Time step, ms.

    Returns:
        A record with an axis of the batch in front.
    """
    theta = jnp.broadcast_to(recording.theta[:, None], recording.v.shape)
    arrays = raster, recording.spikes, recording.v_before, theta, v_threshold + theta
    input_spikes, spikes, v, theta, threshold = (jnp.moveaxis(x, 1, 0) for x in arrays)
    return Record(input_spikes=input_spikes, spikes=spikes, v=v, theta=theta, threshold=threshold, dt=jnp.asarray(dt))
