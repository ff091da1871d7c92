"""What holds in every test: the device, and property tests that draw the same examples in every run.

JAX's `numpy_rank_promotion="raise"` is not switched on: numbers of a neuron `[n_neurons]` meet states
`[batch, n_neurons]` throughout jsnn, and that broadcast is meant.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Nearly all of the suite's time is compiling programs that run for a moment: a quarter of it is saved without XLA's
# expensive optimisations, here and in the processes that tests start.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import pytest
from hypothesis import settings

settings.register_profile("jsnn", max_examples=25, deadline=None, derandomize=True, database=None)
settings.load_profile("jsnn")


def pytest_collection_modifyitems(items):
    """Begin with the module whose fixtures are dear. Tests run in two processes (pyproject.toml), each of which starts
    with half of them; who has finished takes some of the other's last ones, and would make their fixtures once more.
    """
    items.sort(key=lambda item: item.path.stem != "test_survival")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Forget a module's programs with the module. Each compiled program keeps memory mapped, in several pieces: those
    of the whole suite are more than the 65,530 that Linux gives a process, which then dies in the middle of compiling.
    """
    if nextitem is None or nextitem.path != item.path:
        jax.clear_caches()
