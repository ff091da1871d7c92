"""Is this JAX one of those that compute something else than they were asked?"""

import jax
import jax.numpy as jnp
import numpy as np


def test_jit_computes_what_eager_does():
    """jax-ml/jax#39103: in 0.10.2 `jit` is silently wrong on CPU for a vmapped matrix-vector product and a sum."""
    i = jnp.arange(32_769, dtype=jnp.float32)
    rows = jnp.stack((i, jnp.zeros_like(i), jnp.zeros_like(i)), axis=1)
    norms = jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2))
    np.testing.assert_array_equal(jax.jit(norms)(rows), norms(rows))
    assert norms(rows)[-1] == 32_768**2
