"""Kills, crash images and flipped bits by the thousand, in one process; CI does not run it.

  PYTHONPATH=. python tests/stress_survival.py --seed 0 --images 1000 --flips 1000 --caches 4000

Images: what a kill leaves on the disk is the directory just before one of the changes that Python makes to a file in
it. So a run is made once with a copy taken before every change; then copies drawn at random are gone on from with
--resume, a third of them with a file that was being written cut short, a third killed once more on the way. The end
has to be that of the uninterrupted run, byte for byte: results.jsonl and the last state of every lane.

Flips: one bit of one file of a run, half-way or finished; then --resume, and the networks are read. Caches: one bit of
a data set, of the fastest engines, of a compiled program. Right is the result as if nothing had been, or a refusal in
one line (`InputError`). Anything else is a traceback; another result without a word is silent. With small networks, all
compiled before: about a second a case on a free core.
"""

import argparse
import contextlib
import dataclasses
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from test_survival import LEFTOVER, Watcher, contents
from victim import tripwire

from jsnn import data, runs
from jsnn.core.errors import InputError
from jsnn.core.files import LOCK
from jsnn.data import cache
from jsnn.grid import groups
from jsnn.learners.plasticity import autotune, plans
from jsnn.runs import config

SIZES = """
study = "stress"
[data]
name = "mnist_excerpt"
n_train = 12
n_test = 4
"""
STUDIES = {
    "plastic": """
n_assign = 8
[run]
engine = "dense"
n_steps = 12
dt = 5.0
curve_points = 3
checkpoint_seconds = 0.0
[matrix]
encoder = ["poisson", "bernoulli"]
[network]
n_neurons = 4
gain = 3.0
[sweep.run]
seed = [0, 1]
""",
    "gradient": """
[run]
n_steps = 3
batch_size = 4
curve_points = 3
checkpoint_seconds = 0.0
[matrix]
neuron = ["unit_lif"]
rule = ["bptt"]
[network]
architecture = "5-10"
[sweep.run]
seed = [0, 1]
""",
}
OUTCOMES = "right", "line", "traceback", "silent"


class Study:
    """A study, its uninterrupted run, and what a kill would have left of it at every moment."""

    def __init__(self, name, directory):
        toml = directory / f"{name}.toml"
        toml.write_text(SIZES + STUDIES[name])
        self.name, self.cfg, self.data = name, config.load(toml), data.load("mnist_excerpt")
        self.lanes = groups.plan([entry.trial for entry in self.cfg.entries])
        out, self.images = directory / name, []
        self.run(out)  # compiles
        shutil.rmtree(out)
        with tripwire(out, lambda event, path: self.images.append(snapshot(out))):
            self.run(out, resume=False)
        self.images.append(snapshot(out))
        self.results, self.states = (out / "results.jsonl").read_bytes(), self.last_states(out)[0]
        self.learned = self.networks(out, print)

    def networks(self, out, warn):
        """All numbers of the trained networks."""
        return [np.asarray(x) for x in jax.tree.leaves([s.learned for s in runs.load_trained(out, warn).states])]

    def run(self, out, resume=True):
        """Go on in a directory: the warnings."""
        watcher = Watcher()
        runs.run(self.cfg, self.data, out, watcher, resume=resume, clock=False)
        return watcher.warnings

    def last_states(self, out):
        """The newest state of every lane."""
        heard = []
        states = [runs.restore_lane(out, number, lane, heard.append) for number, lane in enumerate(self.lanes)]
        return [None if state is None else contents(state) for state in states], heard

    def is_right(self, out):
        """Whether a directory is as the uninterrupted run has left it; what differs is printed."""
        leftovers = [path.name for path in out.rglob("*") if LEFTOVER.search(path.name) or path.name == LOCK]
        states, heard = self.last_states(out)
        different = [f"left: {', '.join(leftovers)}"] if leftovers else []
        different += ["results.jsonl"] if (out / "results.jsonl").read_bytes() != self.results else []
        both = zip(states, self.states, strict=True)
        different += [f"state {n}" for n, (state, right) in enumerate(both) if state != right]
        if different or heard:
            print(f"  different: {different}, heard: {heard}")
        return not different and not heard


def snapshot(out):
    """The files below a directory: their contents, or None for a directory."""
    files = {}
    for path in sorted(out.rglob("*")) if out.exists() else []:
        with contextlib.suppress(FileNotFoundError):  # tensorstore is writing
            files[str(path.relative_to(out))] = path.read_bytes() if path.is_file() else None
    return files


def lay(files, out):
    """Make a directory hold these files, and no other."""
    shutil.rmtree(out, ignore_errors=True)
    for name, content in files.items():
        path = out / name
        (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content)


def flipped(content, rng):
    """A copy with one other bit."""
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def judged(action, what):
    """The outcome of an action, which returns whether its result is right; others than the usual are printed."""
    try:
        outcome = "right" if action() else "silent"
    except InputError as error:
        outcome = "line" if "\n" not in str(error) else "traceback"
        what = f"{what}: {error}"
    except Exception as error:
        outcome, what = "traceback", f"{what}: {type(error).__name__}: {error}"
    if outcome in ("traceback", "silent"):
        print(f"  {outcome.upper()} {what}", flush=True)
    return outcome


def crash(case, rng, out):
    """Go on from what a kill has left: whether the end is the right one, and whether all was quiet."""
    at = rng.randrange(len(case.images))
    files, how = dict(case.images[at]), rng.choice(["", "cut short", "killed again"])
    unfinished = [name for name, content in files.items() if content and LEFTOVER.search(name)]
    if how == "cut short" and unfinished:
        name = rng.choice(unfinished)
        files[name] = files[name][: rng.randrange(len(files[name]))]
    lay(files, out)

    def act():
        if how == "killed again":
            images, when = [], rng.randrange(1, 40)

            def take(event, path):
                images.append(snapshot(out) if len(images) == when else None)

            with tripwire(out, take):
                case.run(out)
            if not case.is_right(out):
                return False
            if len(images) > when:
                lay(images[when], out)
        heard = [line for line in case.run(out) if "damaged" in line]  # nothing is
        if heard:
            print(f"  heard: {heard}")
        return case.is_right(out) and not heard

    return judged(act, f"{case.name}, image {at} {how}")


def flip_in_run(case, rng, out):
    """Go on with a run of which one bit is another, and read its networks."""
    at = len(case.images) - 1 if rng.random() < 0.5 else rng.randrange(len(case.images) // 4, len(case.images))
    files = dict(case.images[at])
    name = rng.choice([name for name, content in files.items() if content])
    files[name] = flipped(files[name], rng)
    lay(files, out)

    def read():
        heard = []
        found = case.networks(out, heard.append)
        return bool(heard) or all(np.array_equal(x, y) for x, y in zip(found, case.learned, strict=True))

    def resume():
        case.run(out)
        return case.is_right(out)

    what = f"{case.name}, image {at}, a bit of {name}"
    read_first = [judged(read, f"reading {what}")] if at == len(case.images) - 1 else []
    return [*read_first, judged(resume, f"resuming {what}")]


def flip_in_data(rng, directory):
    """Read a data set of the cache of which one bit is another."""
    path = directory / "mnist.npz"
    if not path.exists():
        small = data.load("mnist_excerpt").first(20, 10)
        cache.write(path, small)
        flip_in_data.whole = path.read_bytes(), small
    content, small = flip_in_data.whole
    path.write_bytes(flipped(content, rng))

    def act():
        found = cache.read(path, small.name)
        parts = cache.ARRAYS
        return found is None or all(np.array_equal(getattr(found, p), getattr(small, p)) for p in parts)

    return judged(act, "a data set")


def flip_in_choices(case, rng, directory):
    """Read the fastest engines of which one bit is another."""
    path, lane = directory / "ways.json", case.lanes[0]
    ways = plans.ways(lane.cells[0])
    path.write_bytes(flipped(f'{{"{autotune.key(lane.cells[0])}": "{autotune.shown(ways[-1])}"}}'.encode(), rng))
    long = dataclasses.replace(runs.schedule_of(case.cfg, case.data), n_train=autotune.WORTH_IT)
    rates, autotune.rates = autotune.rates, lambda *arguments: {way: float(way == ways[-1]) for way in ways}
    try:
        return judged(lambda: autotune.choose(lane, case.data, long, None, 0, ways, path)[0] in ways, "choices")
    finally:
        autotune.rates = rates


def flip_in_program(rng, directory):
    """Load a compiled program of which one bit is another."""
    place = directory / "xla"

    def compute():
        jax.clear_caches()
        return float(jax.jit(lambda x: jnp.sum(jnp.sin(x) * 3))(jnp.arange(7.0)))

    if not place.exists():
        jax.config.update("jax_compilation_cache_dir", str(place))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        compilation_cache.reset_cache()
        flip_in_program.right = compute()
        flip_in_program.whole = {path: path.read_bytes() for path in place.glob("*-cache")}
    for path, content in flip_in_program.whole.items():
        path.write_bytes(flipped(content, rng))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return judged(lambda: compute() == flip_in_program.right, "a program")


def repeated(title, n, one):
    """Count the outcomes of `n` cases."""
    found, began, cases = Counter(), time.monotonic(), 0
    while cases < n:
        outcomes = one()
        found.update([outcomes] if isinstance(outcomes, str) else outcomes)
        cases += 1
        if cases % 50 == 0 or cases == n:
            rate = (time.monotonic() - began) / cases
            print(f"{title}: {cases}/{n}, {dict(found)}, {rate:.2f} s a case", flush=True)
    return found


def main():
    """Parse, try, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=1000, help="kills and crash images (default: 1000)")
    parser.add_argument("--flips", type=int, default=1000, help="bits of run directories (default: 1000)")
    parser.add_argument("--caches", type=int, default=4000, help="bits of caches (default: 4000)")
    arguments = parser.parse_args()
    rng, total = random.Random(arguments.seed), Counter()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="jsnn-stress-", dir=memory) as name:
        directory = Path(name)
        os.environ["GIT_DIR"] = name  # no commit may change it meanwhile
        cases = [Study(kind, directory) for kind in STUDIES]
        out = directory / "out"
        n_programs = arguments.caches // 20
        total += repeated("data in the cache", arguments.caches * 3 // 4, lambda: flip_in_data(rng, directory))
        n_choices = arguments.caches - n_programs - arguments.caches * 3 // 4
        total += repeated("choices in the cache", n_choices, lambda: flip_in_choices(cases[0], rng, directory))
        total += repeated("crash images", arguments.images, lambda: crash(rng.choice(cases), rng, out))
        total += repeated("bits of runs", arguments.flips, lambda: flip_in_run(rng.choice(cases), rng, out))
        total += repeated("programs in the cache", n_programs, lambda: flip_in_program(rng, directory))
    n = [total[outcome] for outcome in OUTCOMES]
    print(f"{sum(n)} cases: {n[0]} right, {n[1]} refused in one line, {n[2]} tracebacks, {n[3]} silent")
    sys.exit(bool(n[2] + n[3]))


if __name__ == "__main__":
    main()
