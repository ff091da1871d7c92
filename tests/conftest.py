"""What holds in every test: the device, and property tests that draw the same examples in every run.

JAX's `numpy_rank_promotion="raise"` is not switched on: numbers of a neuron `[n_neurons]` meet states
`[batch, n_neurons]` throughout jsnn, and that broadcast is meant.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from hypothesis import settings

settings.register_profile("jsnn", max_examples=25, deadline=None, derandomize=True, database=None)
settings.load_profile("jsnn")
