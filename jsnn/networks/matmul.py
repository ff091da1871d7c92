"""The products of weights and inputs of a layer, with weight gradients that are fast on a CPU.

A dense layer, and a convolution of stride 1, zero-padded to the size of its input:

    y = x W,    dW = x^T dy
    y[r, c] = sum_(i, j) x[r + i - before, c + j - before] W[i, j],    dW[i, j] = sum_(r, c) x[...]^T dy[r, c]

XLA's CPU backend multiplies matrices by its fast kernels unless the left one is transposed. In dW it is, so x^T is
written out first (512 inputs, 8000 rows: 23 instead of 28 ms); or dy^T where that is far smaller, for (dy^T x)^T. XLA
computes dW of a convolution as one whose kernel is as large as an image, at an eighth of the speed of y. Here all k^2
blocks of dW are one product: of the inputs shifted along a row by each j, side by side, and of dy shifted along a
column by each i, side by side: [k * inputs, pixels] times [pixels, k * outputs], with superfluous work only at the
padding.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

PIXELS = 4096  # largest number of pixels in a product: the shifted copies are multiplied while they are in the cache


@jax.custom_vjp
def multiply(x: Array, weights: Array) -> Array:
    """Multiply `x` [n, inputs] by `weights` [inputs, outputs]: [n, outputs]."""
    return x @ weights


def _multiply_forwards(x: Array, weights: Array) -> tuple[Array, tuple[Array, Array]]:
    return multiply(x, weights), (x, weights)


def _multiply_backwards(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, weights = residuals
    n, (n_in, n_out) = len(x), weights.shape
    if 4 * (n + n_in) * n_out < n * n_in:  # far fewer numbers to transpose than x has
        return dy @ weights.T, _apart(_apart(dy.T) @ x).T
    return dy @ weights.T, _apart(x.T) @ dy


def _apart(x: Array) -> Array:
    """Compute `x` on its own: XLA would merge a transposition into the product again (CPU)."""
    return jax.lax.optimization_barrier(x) if jax.default_backend() == "cpu" else x


multiply.defvjp(_multiply_forwards, _multiply_backwards)


def _convolution(x: Array, kernel: Array, before: int) -> Array:
    k = len(kernel)
    around = (before, k - 1 - before)
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), (around, around), dimension_numbers=("NHWC", "HWIO", "NHWC"))


@jax.custom_vjp
def convolve(x: Array, kernel: Array) -> Array:
    """Convolve images with a square kernel, zero-padded, with stride 1.

    Args:
        x: [n, height, width, inputs].
        kernel: [k, k, inputs, outputs].

    Returns:
        [n, height, width, outputs].
    """
    return _convolution(x, kernel, (len(kernel) - 1) // 2)


def _convolve_forwards(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel), (x, kernel)


def _convolve_backwards(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    # dx is written as a convolution: XLA's own transposed one leaves the fast path inside a lax.scan (CPU).
    dx = _convolution(dy, kernel[::-1, ::-1].swapaxes(2, 3), len(kernel) // 2)
    return dx, weight_gradient(x, dy, len(kernel))


convolve.defvjp(_convolve_forwards, _convolve_backwards)


def weight_gradient(x: Array, dy: Array, k: int) -> Array:
    """Compute the gradient of the kernel of `convolve`.

    Args:
        x: Inputs, [n, height, width, inputs].
        dy: Gradient of the outputs, [n, height, width, outputs].
        k: Width of the kernel.

    Returns:
        dW, [k, k, inputs, outputs].
    """
    if jax.default_backend() != "cpu":
        kernel = jnp.zeros((k, k, x.shape[-1], dy.shape[-1]), x.dtype)
        return jax.linear_transpose(lambda w: _convolution(x, w, (k - 1) // 2), kernel)(dy)[0]
    n, height, width, n_in = x.shape
    n_out = dy.shape[-1]
    around = ((k - 1) // 2, k // 2)
    at_once = max(m for m in range(1, n + 1) if n % m == 0 and (m == 1 or m * height * width <= PIXELS))

    def product(total: Array, part: tuple[Array, Array]) -> tuple[Array, None]:
        x, dy = part
        x = jnp.pad(x, ((0, 0), around, around, (0, 0)))
        dy = jnp.pad(dy, ((0, 0), (k - 1, k - 1), (0, 0), (0, 0)))
        along_rows = jnp.concatenate([x[:, :, j : j + width] for j in range(k)], axis=-1)
        down = jnp.concatenate([dy[:, k - 1 - i :][:, : height + k - 1] for i in range(k)], axis=-1)
        return total + along_rows.reshape(-1, k * n_in).T @ down.reshape(-1, k * n_out), None

    parts = jax.tree.map(lambda x: x.reshape(n // at_once, at_once, *x.shape[1:]), (x, dy))
    total, _ = jax.lax.scan(product, jnp.zeros((k * n_in, k * n_out), x.dtype), parts)
    return total.reshape(k, n_in, k, n_out).transpose(2, 0, 1, 3)


def dense(x: Array, weights: Array, dimension_numbers: Any, **options: Any) -> Array:
    """Compute `multiply` with the arguments of `flax.linen.Dense(dot_general=...)`.

    Args:
        x: [n, inputs].
        weights: [inputs, outputs].
        dimension_numbers: Not used; flax's are those of a matrix product.
        **options: Further arguments of flax; `precision` has to be None.

    Returns:
        [n, outputs].
    """
    assert x.ndim == 2 and options["precision"] is None, (x.shape, dimension_numbers, options)
    return multiply(x, weights)


def convolution(x: Array, kernel: Array, strides: Any, padding: Any, **options: Any) -> Array:
    """Compute `convolve` with the arguments of `flax.linen.Conv(conv_general_dilated=...)`.

    Args:
        x: [n, height, width, inputs].
        kernel: [k, k, inputs, outputs].
        strides: Has to be 1.
        padding: Has to be "SAME".
        **options: Further arguments of flax: without dilation and groups.

    Returns:
        [n, height, width, outputs].
    """
    dilations = {*strides, *options["lhs_dilation"], *options["rhs_dilation"], options["feature_group_count"]}
    assert dilations == {1} and padding == "SAME", (strides, padding, options)
    return convolve(x, kernel)
