"""What BindsNET computes under the names of the three encoders, for reproducing studies that used it.

The laws below were inferred from its behaviour (version 0.3.4) and derived anew; no code of it is used.
"""

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Positive, Probability

N_LEVELS = 256  # pixels are 8-bit numbers: the table has one row for each level


@node
class BindsnetPoisson(Node):
    """BindsNET's "poisson": a renewal process whose intervals are Poisson-*distributed* integers.

        interval ~ max(1, Poisson(lambda)) steps,    lambda = 1000 / (dt * intensity * x)

    so the coefficient of variation is sqrt(1 / lambda) (0.36 at 128 Hz and 1 ms, not the 1 of a Poisson process), the
    first spike comes after about lambda steps in every presentation, and counts fall a few per cent short of the rate.
    The process is drawn here through its hazard: the probability to spike now, given the steps since the last spike.
    Where less than 1e-6 of an interval's probability remains, the hazard is 1.
    """

    intensity: Positive = 128.0  # Hz at pixel = 1

    def hazard(self, n_steps: int, dt: Array | float) -> Array:
        """Tabulate the hazard of each pixel level, P(interval = k | interval >= k) for k = 0, ..., n_steps.

        Args:
            n_steps: Number of time steps.
            dt: Time step, ms.

        Returns:
            float32[N_LEVELS, n_steps + 1]. The row of level 0 is 0: black pixels never fire.
        """
        level = jnp.arange(N_LEVELS, dtype=jnp.float32)[:, None] / (N_LEVELS - 1)
        k = jnp.arange(n_steps + 1, dtype=jnp.float32)
        rate = 1000.0 / (dt * self.intensity * jnp.maximum(level, 0.5 / N_LEVELS))
        pmf = jnp.exp(k * jnp.log(rate) - rate - jax.lax.lgamma(k + 1))
        pmf = pmf.at[:, 1].add(pmf[:, 0]).at[:, 0].set(0.0)
        remaining = 1.0 - jnp.cumsum(pmf, axis=1) + pmf
        return jnp.where(level == 0, 0.0, jnp.where(remaining > 1e-6, jnp.minimum(pmf / remaining, 1.0), 1.0))

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Encode one image, rounded to 8 bits; see `jsnn.core.protocols.Encoder.encode`."""
        hazard = self.hazard(n_steps, dt)
        level = jnp.round(image * (N_LEVELS - 1)).astype(jnp.int32)

        def step(interval, t):
            interval = interval + 1
            spikes = jax.random.uniform(jax.random.fold_in(key, t), interval.shape) < hazard[level, interval]
            return jnp.where(spikes, 0, interval), spikes

        return jax.lax.scan(step, jnp.zeros(image.size, jnp.int32), jnp.arange(n_steps))[1]


@node
class BindsnetBernoulli(Node):
    """BindsNET's "bernoulli": the image is first divided by its maximum, so intensity and dt play no part.

    P(spike) = max_probability * x / max(x) in every step.
    """

    max_probability: Probability = 1.0

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Encode one image; see `jsnn.core.protocols.Encoder.encode`. A blank image is silent."""
        p = self.max_probability * image / jnp.maximum(jnp.max(image), 1e-6)
        return jax.random.uniform(key, (n_steps, image.size)) < p


@node
class BindsnetRankOrder(Node):
    """BindsNET's "rank order": a hyperbolic latency code, without ranks.

        t_i = ceil(n_steps * x_min / x_i),  spike in row t_i - 1 if t_i < n_steps

    with x_min the dimmest non-zero pixel, which therefore never fires. Most spikes fall in the first few steps.
    """

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Encode one image; see `jsnn.core.protocols.Encoder.encode`.

        The image is rounded to 8 bits, so that the ceiling is exact. A blank image is silent (BindsNET yields NaN).
        """
        del key, dt
        level = jnp.round(image * (N_LEVELS - 1)).astype(jnp.int32)
        is_on = level > 0
        dimmest = jnp.min(jnp.where(is_on, level, N_LEVELS))
        time = -(-n_steps * dimmest // jnp.maximum(level, 1))
        return (jnp.arange(n_steps)[:, None] == time - 1) & is_on & (time < n_steps)
