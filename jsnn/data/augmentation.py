"""Images that differ a little each time they are shown."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.ndimage import map_coordinates

from jsnn.core.pytree import node
from jsnn.core.ranges import NonNegative


@node
class Augmentation:
    """A random affine map of each image, every number uniform within its bound, on both sides of none; what comes in
    from outside is background.
    """

    shift: NonNegative = 2.0  # pixels, along each axis
    rotation: NonNegative = 10.0  # degrees
    scale: NonNegative = 0.1  # of the size, in a ratio
    shear: NonNegative = 0.1  # of one axis along the other, in a ratio

    def __call__(self, key: Array, images: Array) -> Array:
        """`images` float32[batch, height, width, channels], each moved in its own way."""
        return jax.vmap(self._move)(jax.random.split(key, len(images)), images)

    def _move(self, key: Array, image: Array) -> Array:
        down, right, turn, size, slant = jax.random.uniform(key, (5,), minval=-1.0, maxval=1.0)
        angle = jnp.deg2rad(self.rotation * turn)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        turned = jnp.array([[cos, -sin], [sin, cos]]) @ jnp.array([[1.0, self.shear * slant], [0.0, 1.0]])
        matrix = turned / (1.0 + self.scale * size)
        height, width, _ = image.shape
        centre = jnp.array([(height - 1) / 2, (width - 1) / 2])
        grid = jnp.stack(jnp.mgrid[:height, :width]).reshape(2, -1) - centre[:, None]
        at = matrix @ grid + (centre + self.shift * jnp.array([down, right]))[:, None]

        def channel(x):
            return map_coordinates(x, list(at.reshape(2, height, width)), order=1, mode="constant")

        return jax.vmap(channel, in_axes=-1, out_axes=-1)(image)
