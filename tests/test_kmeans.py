"""Mini-batch k-means against a loop, and on clusters that it has to find."""

import jax
import jax.numpy as jnp
import numpy as np

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
    np.testing.assert_allclose(kmeans.fit(key, jnp.asarray(images), 5, batch), prototypes, rtol=1e-4, atol=1e-4)


def test_it_finds_clusters_and_tells_them_apart():
    images, which, centres = blobs()
    prototypes = kmeans.fit(jax.random.key(0), jnp.asarray(images), 24, 64)
    counts = np.asarray(kmeans.responses(prototypes, jnp.asarray(images)))
    np.testing.assert_array_equal(counts.sum(axis=1), 1)
    for k in np.flatnonzero(counts.sum(axis=0)):
        classes = set(which[counts[:, k] == 1])
        assert len(classes) == 1
        assert np.linalg.norm(prototypes[k] - centres[classes.pop()]) < 1.0
