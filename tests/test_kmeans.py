"""k-means against loops, until it stops improving, and on clusters that it has to find."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.learners import kmeans


def blobs(n=640, seed=0):
    """Points around four corners of a square, and which."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 4, n)
    centres = np.array([[0.0, 0], [0, 8], [8, 0], [8, 8]])
    return (centres[which] + rng.normal(0, 0.3, (n, 2))).astype(np.float32), which, centres


def test_a_prototype_is_the_mean_of_the_images_it_won():
    images, _, _ = blobs(96)
    key, batch = jax.random.key(3), 32
    key_order, key_start = jax.random.split(key)
    order = np.asarray(jax.random.permutation(key_order, 96)).reshape(-1, batch)
    prototypes = images[np.asarray(jax.random.choice(key_start, 96, (5,), replace=False))].astype(float)
    won = [[] for _ in prototypes]
    for rows in order:
        nearest = [int(np.argmin([np.sum((images[i] - p) ** 2) for p in prototypes])) for i in rows]
        for i, k in zip(rows, nearest, strict=True):
            won[k].append(images[i])
        for k in set(nearest):
            prototypes[k] = np.mean(won[k], axis=0)
    np.testing.assert_allclose(kmeans.first_pass(key, jnp.asarray(images), 5, batch), prototypes, rtol=1e-4, atol=1e-4)


def test_it_finds_clusters_and_tells_them_apart():
    images, which, centres = blobs()
    prototypes = kmeans.fit(jax.random.key(0), jnp.asarray(images), 24, 64).prototypes
    counts = np.asarray(kmeans.responses(prototypes, jnp.asarray(images)))
    np.testing.assert_array_equal(counts.sum(axis=1), 1)
    for k in np.flatnonzero(counts.sum(axis=0)):
        classes = set(which[counts[:, k] == 1])
        assert len(classes) == 1
        assert np.linalg.norm(prototypes[k] - centres[classes.pop()]) < 1.0


def slow_pass(images, prototypes):
    """Of Lloyd's algorithm, in float64."""
    gaps = np.sum((images[:, None].astype(float) - prototypes) ** 2, axis=2)
    nearest = np.argmin(gaps, axis=1)
    after = [images[nearest == k].mean(axis=0) if np.any(nearest == k) else p for k, p in enumerate(prototypes)]
    return np.array(after), gaps.min(axis=1).sum()


def test_a_pass_of_lloyds_in_blocks_is_that_of_a_loop():
    """101 images in blocks of 16; the last prototype wins none of them and stays."""
    images, _, _ = blobs(101)
    start = np.concatenate([images[:6], [[99.0, 99.0]]]).astype(np.float32)
    prototypes, inertia = kmeans.lloyd(jnp.asarray(images), jnp.asarray(start), 16)
    wanted, wanted_inertia = slow_pass(images, start)
    np.testing.assert_allclose(prototypes, wanted, rtol=1e-5)
    np.testing.assert_array_equal(prototypes[-1], [99.0, 99.0])
    assert float(inertia) == pytest.approx(wanted_inertia, rel=1e-4)


def test_it_goes_on_until_the_inertia_stops_falling():
    rng = np.random.default_rng(1)
    images = rng.random((512, 6), np.float32)
    fit = kmeans.fit(jax.random.key(0), jnp.asarray(images), 20, 64, tolerance=1e-6)
    first = np.asarray(kmeans.first_pass(jax.random.key(0), jnp.asarray(images), 20, 64))
    after, inertia = slow_pass(images, np.asarray(fit.prototypes))
    assert fit.inertia == pytest.approx(inertia, rel=1e-4)
    assert fit.inertia < 0.98 * slow_pass(images, first)[1]
    assert slow_pass(images, after)[1] > (1 - 1e-3) * inertia
    assert 3 < fit.n_passes < 100
    assert kmeans.fit(jax.random.key(0), jnp.asarray(images), 20, 64, tolerance=1e-6, at_most=4).n_passes == 4
