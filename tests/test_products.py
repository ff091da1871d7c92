"""Products and their gradients are those of XLA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.networks import matmul
from jsnn.networks.matmul import convolve, multiply


def native(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize(("n_in", "n_out"), [(4, 3), (24, 2)])  # x^T is written out, or dy^T
def test_dense_product_and_gradients(n_in, n_out):
    shapes = (90, n_in), (n_in, n_out), (90, n_out)
    with jax.enable_x64(True):
        x, weights, dy = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(shapes))
        y, gradients = jax.vjp(multiply, x, weights)
        np.testing.assert_array_equal(y, x @ weights)
        for one, other in zip(gradients(dy), (dy @ weights.T, x.T @ dy), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", [(6, 9, 7, 2), (1, 4, 4, 3)])
def test_convolution_and_gradients(k, shape, monkeypatch):
    monkeypatch.setattr(matmul, "PIXELS", 3 * 9 * 7)  # three images in a product
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), shape)
        kernel = jax.random.normal(jax.random.key(1), (k, k, shape[-1], 5))
        dy = jax.random.normal(jax.random.key(2), (*shape[:-1], 5))
        expected, wanted = jax.vjp(native, x, kernel)
        y, gradients = jax.vjp(convolve, x, kernel)
        np.testing.assert_array_equal(y, expected)
        for one, other in zip(gradients(dy), wanted(dy), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_many_trials_at_once():
    x = jax.random.normal(jax.random.key(0), (2, 3, 6, 6, 2))
    kernels = jax.random.normal(jax.random.key(1), (2, 3, 3, 2, 4))

    def gradient(f, x, kernel):
        return jax.grad(lambda w: jnp.sum(jnp.sin(f(x, w))))(kernel)

    together = jax.vmap(lambda x, w: gradient(convolve, x, w))(x, kernels)
    for i in range(2):
        np.testing.assert_allclose(together[i], gradient(native, x[i], kernels[i]), rtol=1e-4, atol=1e-4)
