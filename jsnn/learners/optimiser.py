"""How a gradient becomes an update: optax, with its numbers as leaves."""

from typing import Literal, cast

import optax

from jsnn.core.pytree import node, static
from jsnn.core.ranges import NonNegative, Positive, Probability


@node
class Optimiser:
    """AdamW (Loshchilov & Hutter 2019), its learning rate rising linearly from 0 and falling along a cosine to 0."""

    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 0.0
    schedule: Literal["cosine", "constant"] = static(default="cosine")
    warmup: Probability = static(default=0.0)  # share of the updates
    clip: Positive | None = None  # of the gradient's norm

    def transformation(self, n_updates: int) -> optax.GradientTransformation:
        """Of optax, for a training of so many updates."""
        n_warmup = int(self.warmup * n_updates)
        falling = optax.cosine_decay_schedule(1.0, max(n_updates - n_warmup, 1))
        factor = falling if self.schedule == "cosine" else optax.constant_schedule(1.0)
        if n_warmup:
            factor = optax.join_schedules([optax.linear_schedule(0.0, 1.0, n_warmup), factor], [n_warmup])
        adam = optax.adamw(lambda n: self.learning_rate * factor(n), weight_decay=cast(float, self.weight_decay))
        return adam if self.clip is None else optax.chain(optax.clip_by_global_norm(cast(float, self.clip)), adam)
