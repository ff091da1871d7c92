"""The settings of JAX that reach the numbers: fixed, recorded with a run, or refused."""

import enum
import os
from typing import Any

import jax
from jax import Array

from jsnn.core.errors import InputError

GENERATOR = "threefry2x32"
# The settings that the commands compute with, whatever the user's environment says.
FIXED = {
    "jax_enable_x64": False,
    "jax_default_prng_impl": GENERATOR,
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
}
# Other settings that change numbers: a run has to be resumed with those that it was started with.
RECORDED = (
    "jax_enable_x64",
    "jax_threefry_partitionable",
    "jax_random_seed_offset",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_disable_most_optimizations",
    "jax_optimization_level",
)
# Flags of XLA that do not change numbers: how many devices and threads there are, and what is dumped for debugging.
WITHOUT_EFFECT = ("--xla_force_host_platform_device_count", "--xla_cpu_multi_thread_eigen", "--xla_dump")
GUARDS = (None, "allow", "log", "log_explicit")
# Settings for debugging with which a run cannot be computed: the values that are permitted, and why.
REFUSED = {
    "jax_disable_jit": ((False,), "a presentation would be computed step by step in Python, for hours"),
    "jax_debug_infs": ((False,), "engines mark with infinities the neurons that they leave out"),
    "jax_debug_key_reuse": ((False,), "a presentation's random numbers are made anew, alike, wherever it is computed"),
    "jax_transfer_guard": (GUARDS, "images and weights are moved between host and device"),
    "jax_transfer_guard_host_to_device": (GUARDS, "images are moved to the device"),
    "jax_transfer_guard_device_to_host": (GUARDS, "weights are moved to the host, to be saved"),
    "jax_transfer_guard_device_to_device": (GUARDS, "rasters are moved between devices"),
    "jax_no_execution": ((False, None), "nothing would be computed"),
    "jax_no_tracing": ((False, None), "nothing could be compiled"),
    "jax_numpy_dtype_promotion": (("standard",), "spikes, which are booleans, meet weights"),
    "jax_numpy_rank_promotion": (("allow", "warn"), "numbers of neurons meet states of a batch"),
}


def key(seed: Any) -> Array:
    """Create the key of a stream of random numbers, always of kind threefry2x32, whatever JAX's default is.

    Args:
        seed: Integer, or a traced integer array of shape ().

    Returns:
        A key array of shape ().
    """
    return jax.random.key(seed, impl=GENERATOR)


def fix() -> None:
    """Set JAX to the settings in `FIXED` for the whole process.

    Raises:
        InputError: Another setting makes it impossible to compute a run.
    """
    for name, value in FIXED.items():
        jax.config.update(name, value)
    check()


def check() -> None:
    """Check that JAX is set to something with which a run can be computed.

    Raises:
        InputError: A setting is among those that `REFUSED` excludes.
    """
    for name, (permitted, why) in REFUSED.items():
        value = _value(name)
        if value not in permitted:
            raise InputError(f"{name.upper()} = {value}: it should be {permitted[0]}, since {why}")


def settings() -> dict[str, Any]:
    """Collect all settings that change the numbers that JAX computes.

    Returns:
        Their values by name, as they are written to JSON.
    """
    flags = os.environ.get("XLA_FLAGS", "").split()
    return {name: _value(name) for name in RECORDED} | {
        "XLA_FLAGS": sorted(flag for flag in flags if not flag.startswith(WITHOUT_EFFECT)),
        "NVIDIA_TF32_OVERRIDE": os.environ.get("NVIDIA_TF32_OVERRIDE"),
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Describe in words what two records of settings differ in; a setting that one of them lacks is no difference.

    Args:
        before: Settings as a run recorded them.
        after: Settings now.

    Returns:
        One sentence for each difference.
    """
    return [
        f"{name} is {after[name]} now and was {before[name]}"
        for name in after
        if name in before and before[name] != after[name]
    ]


def _value(name: str) -> Any:
    value = getattr(jax.config, name, None)
    return value.value if isinstance(value, enum.Enum) else value
