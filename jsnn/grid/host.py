"""What a process asks of the machine it runs on: cores as devices, memory that stays."""

import contextlib
import ctypes
import os


def keep_memory() -> None:
    """Keep what XLA frees instead of giving it back to the system (glibc; elsewhere without effect).

    On a CPU each call of a compiled program allots its arrays anew, and the system would clear every page of them: a
    quarter of the time of a gradient through 500 steps. The process stays as large as it once was.
    """
    # mallopt(3): 2 GiB may be free; large blocks come from the heap as well; the heaps of threads, which are always
    # given back, are not used. An arena there is already stays, so this has to come before JAX's first computation.
    trim_threshold, mmap_max, arena_max = -1, -4, -8
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(arena_max, 1)
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


def use_cores(n: int) -> None:
    """Make `n` devices of this machine's CPU, each of one thread, so that a grid can use all cores.

    Before JAX's first computation; without effect where XLA_FLAGS already says how many, or for a single device
    (whose products then use all cores).
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if n > 1 and "xla_force_host_platform_device_count" not in flags:
        own = f"--xla_force_host_platform_device_count={n} --xla_cpu_multi_thread_eigen=false"
        os.environ["XLA_FLAGS"] = f"{flags} {own}".strip()
