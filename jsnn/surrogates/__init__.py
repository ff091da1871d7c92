"""Spikes that can be differentiated: Heaviside's step forwards, a surrogate of its derivative backwards.

The step theta(x) of the excess x = v - threshold has no useful derivative. Gradients take a bump around x = 0 instead
(Neftci, Mostafa & Zenke 2019), height * shape(x / width); forwards nothing changes, so that the same neurons serve
plasticity and backpropagation. Width and height are leaves: they can be swept and vmapped. No gradient reaches them.
"""

from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Positive


class Surrogate(Protocol):
    """A surrogate replaces the derivative of Heaviside's step."""

    def slope(self, x: Array) -> Array:
        """Compute the surrogate derivative.

        Args:
            x: Excess over the threshold, mV, of any shape.

        Returns:
            The derivative, 1/mV, of the same shape.
        """
        ...


@node
class Rectangular(Node):
    """Rectangular surrogate: height where |x| < width, else 0 (Wu et al. 2018, STBP, eq. 24).

    Their a is 2 * width, and their height 1 / a.
    """

    width: Positive = 0.5  # mV
    height: Positive = 1.0  # 1/mV

    def slope(self, x: Array) -> Array:
        """Compute the surrogate derivative; see `Surrogate.slope`."""
        return jnp.where(jnp.abs(x) < self.width, self.height, 0.0)


@node
class ArcTan(Node):
    """Surrogate height / (1 + (x / width)^2), the derivative of an arc tangent (Fang et al. 2021, PLIF, eq. 18).

    Their alpha = 2 is width 1 / pi and height 1, the defaults.
    """

    width: Positive = 0.3183098861837907  # mV
    height: Positive = 1.0  # 1/mV

    def slope(self, x: Array) -> Array:
        """Compute the surrogate derivative; see `Surrogate.slope`."""
        return self.height / (1.0 + jnp.square(x / self.width))


@node
class FastSigmoid(Node):
    """Surrogate height / (1 + |x| / width)^2, the derivative of a fast sigmoid.

    (Zenke & Ganguli 2018, SuperSpike, §3.3.2.) Their beta is 1 / width.
    """

    width: Positive = 0.1  # mV
    height: Positive = 1.0  # 1/mV

    def slope(self, x: Array) -> Array:
        """Compute the surrogate derivative; see `Surrogate.slope`."""
        return self.height / jnp.square(1.0 + jnp.abs(x) / self.width)


@node
class Triangular(Node):
    """Triangular surrogate height * max(0, 1 - |x| / width) (Bellec et al. 2020, e-prop).

    They have height 0.3 / threshold, and the threshold as width.
    """

    width: Positive = 1.0  # mV
    height: Positive = 1.0  # 1/mV

    def slope(self, x: Array) -> Array:
        """Compute the surrogate derivative; see `Surrogate.slope`."""
        return self.height * jnp.maximum(0.0, 1.0 - jnp.abs(x) / self.width)


SURROGATES: dict[str, Surrogate] = {
    "rectangular": Rectangular(),
    "arctan": ArcTan(),
    "fast_sigmoid": FastSigmoid(),
    "triangular": Triangular(),
}


@jax.custom_jvp
def spike(excess: Array, surrogate: Surrogate) -> Array:
    """Spike where the excess over the threshold is >= 0.

    Args:
        excess: Excess over the threshold, mV, of any shape.
        surrogate: The derivative of a spike with respect to the excess.

    Returns:
        1 at a spike and 0 elsewhere, in the dtype of `excess`.
    """
    del surrogate
    return (excess >= 0).astype(excess.dtype)


@spike.defjvp
def _(primals: tuple[Array, Surrogate], tangents: tuple[Array, Surrogate]) -> tuple[Array, Array]:
    excess, surrogate = primals
    return spike(excess, surrogate), surrogate.slope(excess) * tangents[0]


@jax.custom_jvp
def where(spikes: Array, fired: Array | float, silent: Array) -> Array:
    """Select `fired` where there is a spike and `silent` elsewhere, differentiably.

    The derivative with respect to a spike is fired - silent, as if the result were silent + spike * (fired - silent):
    that formula would round, this is exact.

    Args:
        spikes: bool, or 0 and 1 as floats.
        fired: Values at a spike.
        silent: Values elsewhere, of the shape of `spikes`.

    Returns:
        The selected values.
    """
    return jnp.where(spikes > 0, fired, silent)


@where.defjvp
def _(primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    spikes, fired, silent = primals
    d_spikes, d_fired, d_silent = tangents
    tangent = jnp.where(spikes > 0, d_fired, d_silent)
    if spikes.dtype != bool:
        tangent = tangent + d_spikes * (fired - silent)
    return where(spikes, fired, silent), tangent
