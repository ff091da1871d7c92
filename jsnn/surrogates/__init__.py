"""Spikes that can be differentiated: Heaviside's step forwards, a surrogate of its derivative backwards.

The step theta(x) of the excess x = v - threshold has no useful derivative. Gradients take a bump around x = 0 instead
(Neftci, Mostafa & Zenke 2019), height * shape(x / width); forwards nothing changes, so that the same neurons serve
plasticity and backpropagation. Width and height are leaves: they can be swept and vmapped. No gradient goes to them.
"""

from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Positive


class Surrogate(Protocol):
    """In the place of Heaviside's derivative."""

    def slope(self, x: Array) -> Array:
        """At an excess `x`, mV."""
        ...


@node
class Rectangular(Node):
    """height where |x| < width (Wu et al. 2018, STBP, eq. 24, has a = 2 width and height 1 / a)."""

    width: Positive = 0.5  # mV
    height: Positive = 1.0  # 1/mV

    def slope(self, x: Array) -> Array:
        """See `Surrogate`."""
        return jnp.where(jnp.abs(x) < self.width, self.height, 0.0)


@node
class ArcTan(Node):
    """height / (1 + (x / width)^2) (Fang et al. 2021, PLIF, eq. 18, with alpha = 2: width 1 / pi, height 1)."""

    width: Positive = 0.3183098861837907  # mV
    height: Positive = 1.0  # 1/mV

    def slope(self, x: Array) -> Array:
        """See `Surrogate`."""
        return self.height / (1.0 + jnp.square(x / self.width))


@node
class FastSigmoid(Node):
    """height / (1 + |x| / width)^2 (Zenke & Ganguli 2018, SuperSpike, §3.3.2, with beta = 1 / width)."""

    width: Positive = 0.1  # mV
    height: Positive = 1.0  # 1/mV

    def slope(self, x: Array) -> Array:
        """See `Surrogate`."""
        return self.height / jnp.square(1.0 + jnp.abs(x) / self.width)


@node
class Triangular(Node):
    """height * max(0, 1 - |x| / width) (Bellec et al. 2020, e-prop: height 0.3 / threshold, width the threshold)."""

    width: Positive = 1.0  # mV
    height: Positive = 1.0  # 1/mV

    def slope(self, x: Array) -> Array:
        """See `Surrogate`."""
        return self.height * jnp.maximum(0.0, 1.0 - jnp.abs(x) / self.width)


SURROGATES: dict[str, Surrogate] = {
    "rectangular": Rectangular(),
    "arctan": ArcTan(),
    "fast_sigmoid": FastSigmoid(),
    "triangular": Triangular(),
}


@jax.custom_jvp
def spike(excess: Array, surrogate: Surrogate) -> Array:
    """1 where the excess is >= 0, else 0, in its dtype; its derivative is the surrogate's slope."""
    del surrogate
    return (excess >= 0).astype(excess.dtype)


@spike.defjvp
def _(primals: tuple[Array, Surrogate], tangents: tuple[Array, Surrogate]) -> tuple[Array, Array]:
    excess, surrogate = primals
    return spike(excess, surrogate), surrogate.slope(excess) * tangents[0]


@jax.custom_jvp
def where(spikes: Array, fired: Array | float, silent: Array) -> Array:
    """`fired` where there is a spike, `silent` elsewhere, for spikes of type bool or 0 and 1.

    The derivative with respect to a spike is fired - silent, as if it were silent + spike * (fired - silent): that
    formula would round, this is exact.
    """
    return jnp.where(spikes > 0, fired, silent)


@where.defjvp
def _(primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    spikes, fired, silent = primals
    d_spikes, d_fired, d_silent = tangents
    moved = jnp.where(spikes > 0, d_fired, d_silent)
    if spikes.dtype != bool:
        moved = moved + d_spikes * (fired - silent)
    return where(spikes, fired, silent), moved
