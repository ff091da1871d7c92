"""What every worker of experiments/benchmark.py shares. A worker runs in its own Python environment, takes one case as
JSON in its argument, and prints one line of JSON; this file needs numpy alone.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np


def read_case() -> dict[str, Any]:
    """The case: the fields of `benchmark.Case`, and what `benchmark.order` adds to them."""
    return json.loads(sys.argv[1])


def report(**fields: Any) -> None:
    """The worker's answer: one line."""
    print("\n" + json.dumps(fields), flush=True)


def images(case: dict[str, Any], batch: int) -> Iterator[np.ndarray]:
    """Batches of images uint8[batch, n_input], without end."""
    shown = np.load(case["images"])
    first = 0
    while True:
        yield shown[np.arange(first, first + batch) % len(shown)]
        first += batch


def batches(case: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Some batches of a training, the same for all: x float32[n_steps, batch, n_input] of 0 and 1, each drawn with the
    pixel as its probability, or the pixels themselves [1, batch, n_input]; and labels int32[batch].
    """
    rng, n, batch = np.random.default_rng(0), 4, case["batch"]
    pixels = np.load(case["images"])[: n * batch].reshape(n, 1, batch, -1).astype(np.float32) / 255.0
    labels = np.load(case["labels"])[: n * batch].reshape(n, batch).astype(np.int32)
    if not case["constant"]:
        shape = n, case["steps"], *pixels.shape[2:]
        pixels = (rng.random(shape, np.float32) < pixels).astype(np.float32)
    return list(zip(pixels, labels, strict=True))


def learned(case: dict[str, Any]) -> dict[str, np.ndarray] | None:
    """The network that jsnn's worker left for the rival to start from: weights [n_input, n], theta [n]; mV."""
    path = case.get("learned")
    if not path or not Path(path).exists():
        return None
    with np.load(path) as file:
        return dict(file)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def best_threads(
    set_threads: Callable[[int], None], work: Callable[[], float], patience: float = 5.0
) -> tuple[int, float]:
    """Choose one thread or all, whichever does `work` in less time: where cores are shared, PyTorch is often far
    faster with one. Work that takes longer than `patience` seconds has all. Returns the one chosen, and its seconds.
    """
    set_threads(cores())
    first = timed(work)
    if first > patience:
        return cores(), first
    least = dict.fromkeys((1, cores()), float("inf"))
    began = time.perf_counter()
    while time.perf_counter() - began < 1.0:
        for n in least:
            set_threads(n)
            least[n] = min(least[n], timed(work))
    best = min(least, key=lambda n: least[n])
    set_threads(best)
    return best, least[best]


def timed(work: Callable[[], float]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def rate(work: Callable[[], float], seconds: float, warm_up: int = 1) -> float:
    """How many units a second: `work` returns how many it has done. It is run `warm_up` times, and then until
    `seconds` have passed, at least once.
    """
    for _ in range(warm_up):
        work()
    done, spent, began = 0.0, 0.0, time.perf_counter()
    while not done or spent < seconds:
        done += work()
        spent = time.perf_counter() - began
    return done / spent
