"""What the synapses of a layer multiply, with gradients of the weights that are fast on a CPU.

A dense layer, and a convolution of stride 1, zero-padded to the size of its input:

    y = x W,    dW = x^T dy
    y[r, c] = sum_(i, j) x[r + i - before, c + j - before] W[i, j],    dW[i, j] = sum_(r, c) x[...]^T dy[r, c]

XLA's CPU backend multiplies matrices by its fast kernels unless the left one is transposed: it is, in dW, so x^T is
written out first (512 inputs, 8000 rows: 23 instead of 28 ms); or dy^T where that is far less, for (dy^T x)^T.
It computes dW of a convolution as one whose kernel is as large as an image, at an eighth of the speed of y. Here all
k^2 blocks of dW are one product: of the inputs shifted along a row by each j, side by side, and of dy shifted along a
column by each i, side by side: [k * inputs, pixels] times [pixels, k * outputs], in vain only where it is padded.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

PIXELS = 4096  # of a product: the shifted copies are still in the cache when they are multiplied


@jax.custom_vjp
def multiply(x: Array, weights: Array) -> Array:
    """[n, outputs] of `x` [n, inputs] and `weights` [inputs, outputs]."""
    return x @ weights


def _multiply_forwards(x: Array, weights: Array) -> tuple[Array, tuple[Array, Array]]:
    return multiply(x, weights), (x, weights)


def _multiply_backwards(seen: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, weights = seen
    n, (n_in, n_out) = len(x), weights.shape
    if 4 * (n + n_in) * n_out < n * n_in:  # numbers to transpose: far less than those of x
        return dy @ weights.T, _apart(_apart(dy.T) @ x).T
    return dy @ weights.T, _apart(x.T) @ dy


def _apart(x: Array) -> Array:
    """`x`, computed on its own: XLA would make a transposition a part of the product again (CPU)."""
    return jax.lax.optimization_barrier(x) if jax.default_backend() == "cpu" else x


multiply.defvjp(_multiply_forwards, _multiply_backwards)


def _convolution(x: Array, kernel: Array, before: int) -> Array:
    k = len(kernel)
    around = (before, k - 1 - before)
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), (around, around), dimension_numbers=("NHWC", "HWIO", "NHWC"))


@jax.custom_vjp
def convolve(x: Array, kernel: Array) -> Array:
    """[n, height, width, outputs] of `x` [n, height, width, inputs] and a square `kernel` [k, k, inputs, outputs]."""
    return _convolution(x, kernel, (len(kernel) - 1) // 2)


def _convolve_forwards(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel), (x, kernel)


def _convolve_backwards(seen: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = seen
    # dx as the convolution that it is: XLA's own transposed one falls out of the fast path inside a lax.scan (CPU).
    dx = _convolution(dy, kernel[::-1, ::-1].swapaxes(2, 3), len(kernel) // 2)
    return dx, weight_gradient(x, dy, len(kernel))


convolve.defvjp(_convolve_forwards, _convolve_backwards)


def weight_gradient(x: Array, dy: Array, k: int) -> Array:
    """dW [k, k, inputs, outputs] of `x` [n, height, width, inputs] and `dy` [n, height, width, outputs]."""
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
    """`multiply` as `flax.linen.Dense(dot_general=)` calls it."""
    assert x.ndim == 2 and options["precision"] is None, (x.shape, dimension_numbers, options)
    return multiply(x, weights)


def convolution(x: Array, kernel: Array, strides: Any, padding: Any, **options: Any) -> Array:
    """`convolve` as `flax.linen.Conv(conv_general_dilated=)` calls it, for convolutions of the kind above only."""
    dilations = {*strides, *options["lhs_dilation"], *options["rhs_dilation"], options["feature_group_count"]}
    assert dilations == {1} and padding == "SAME", (strides, padding, options)
    return convolve(x, kernel)
