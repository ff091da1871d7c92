"""Thousands of mutated configs and data files: each is refused in one line, or means what an independent reader finds.

  python tests/stress_inputs.py --seed 0 --configs 10000 --files 10000

Not part of the suite. A config is loaded, held against its own text, planned, and one in fifty is run on a few images;
an IDX file or a recording of N-MNIST is read, and held against a slow reader of its own. What is neither right nor
refused in one line, takes too long or too much memory is printed, with the seed of its case: `--only SEED` repeats it.
"""

import argparse
import collections
import copy
import dataclasses
import gzip
import io
import random
import re
import resource
import signal
import struct
import tempfile
import time
import tomllib
import traceback
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np

from jsnn import data, runs
from jsnn.core.errors import InputError
from jsnn.data import idx, nmnist
from jsnn.grid import groups
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.networks.feedforward import Feedforward
from jsnn.runs import config

SECONDS, SECONDS_OF_A_RUN, BYTES = 60, 600, 6 * 2**30
FIELDS = [field.name for field in dataclasses.fields(config.RunConfig)]
NETWORK = [field.name for kind in (CompetitiveNetwork, Feedforward) for field in dataclasses.fields(kind)]
CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.toml"))
WORDS = [
    *("-1 0 1 2 3 7 784 2312 0.0 -0.0 1e-300 1e30 1e400 nan inf -inf".split()),
    *("2147483647 2147483648 9223372036854775808 1e-9 0.5 1.0 10.0".split()),
    *('true false "none" "auto" [] {} [[]] [1] ["lif"] "" "stdp" 1979-05-27 0x7fffffff "é" "١" "\\u0000"'.split()),
    *("[run] [data] [sweep] [[cell]] [network] [search.ranges] [ann] [published] [matrix]".split()),
    *('"""', "\ufeff", "\u202e", "# x", "=", "a.b.c = 1", "{ kind = 'lif' }", "{ kind = 'nothing' }", "[0, 1, 2, 2]"),
    *("9" * 400, "0x" + "f" * 4000, "[" * 60 + "]" * 60, "[" * 5000, "a." * 400 + "b = 1", "'''" + "x" * 3000 + "'''"),
]


class TooLong(BaseException):
    """A case did not end."""


class Watcher:
    """Tells nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def alarm(seconds: int) -> None:
    """TooLong after so many seconds; 0: never."""
    signal.alarm(seconds)


def late(*_: Any) -> None:
    """What the alarm does."""
    raise TooLong


# ------------------------------------------------------------------------------------------------ configs


def mutated(rng: random.Random, text: str, other: str) -> bytes:
    """A config with one to four things changed; some of them are bytes that are no text."""
    for _ in range(rng.choice([1, 1, 1, 2])):
        lines, kind = text.split("\n"), rng.randrange(13)
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        if kind < 4:  # another value
            values = list(re.finditer(r"=[ ]*([^=\n{}#]+)", text))
            if values:
                value = rng.choice(values)
                text = text[: value.start(1)] + rng.choice(WORDS) + text[value.end(1) :]
        elif kind == 4:  # another key, or the same a little misspelt
            keys = list(re.finditer(r"[A-Za-z_0-9]+(?= *=|\])", text))
            key, donor = rng.choice(keys), rng.choice(keys)[0]
            name = donor if rng.random() < 0.5 else key[0][:-1] + rng.choice(["", "x", "é", key[0][-1] * 2])
            text = text[: key.start()] + name + text[key.end() :]
        elif kind == 5:
            text = "\n".join(lines[:i] + lines[i + 1 :])
        elif kind == 6:
            text = "\n".join(lines[:i] + [lines[j]] + lines[i:])
        elif kind == 7:  # a table twice
            text = text + "\n" + "\n".join(lines[i : i + 4])
        elif kind == 8:
            lines[i], lines[j] = lines[j], lines[i]
            text = "\n".join(lines)
        elif kind == 9:
            text = "\n".join(lines[:i] + [rng.choice(WORDS)] + lines[i:])
        elif kind == 10:
            text = "\n".join(lines[:i] + [rng.choice(other.split("\n"))] + lines[i:])
        elif kind == 11:
            text = text[: rng.randrange(len(text) + 1)] or "x"
        else:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(WORDS) + text[at + rng.randrange(4) :]
    content = text.encode(rng.choice(["utf-8"] * 20 + ["utf-8-sig", "utf-16", "latin-1"]), "replace")
    if rng.random() < 0.15:
        flipped = bytearray(content)
        for _ in range(rng.choice([1, 3, 20])):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        content = bytes(flipped)
    return content


def leaves(table: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Where the values of nested tables are: the table and the key of each."""
    found = []
    for key, value in table.items():
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            found += leaves(part) if isinstance(part, dict) else []
        found.append((table, key))
    return found


def altered(rng: random.Random, tables: dict[str, Any]) -> None:
    """Change one to three values of a study's tables in place, most of them so that they could be meant."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        table, key = rng.choice(leaves(tables))
        kind, value = rng.randrange(8), table[key]
        if kind == 0:
            del table[key]
        elif kind == 1 and isinstance(tables.get("run"), dict):
            tables["run"][rng.choice(FIELDS)] = rng.choice([0, 1, 2, 5, 0.5, 1e-3, "none", "auto", "vmap", True])
        elif kind == 2:
            network = tables.setdefault("network", {})
            if isinstance(network, dict):
                network[rng.choice(NETWORK)] = rng.choice([0, 1, 3, 28, 0.5, -1.0, 1e6, "none", True, [28, 28], {}])
        elif kind == 3:
            donor, other = rng.choice(leaves(tables))
            table[key] = copy.deepcopy(donor[other])
        elif isinstance(value, bool | str):
            table[key] = rng.choice([not value, "none", "lif", "first", "mean", 1])
        elif isinstance(value, int):
            table[key] = rng.choice([0, -1, 1, 2, value + 1, value // 2, 2 * value, 10**6, 10**12, 2**63])
        elif isinstance(value, float):
            factors = [0.0, -1.0, 0.1, 0.5, 1.0001, 2.0, 10.0, 1e3, 1e6, 1e30, float("nan"), float("inf")]
            table[key] = value * rng.choice(factors)
        elif isinstance(value, list) and value:
            table[key] = rng.choice([value[:1], value[::-1], value * 2, [value], [], value[0], [*value, "lif"]])


def unlike(table: Any, part: Any, where: str) -> list[str]:
    """Where a table and the checked dataclass that was made of it differ."""
    found = []
    for key, value in table.items():
        if key in ("kind", "network"):
            continue
        made = getattr(part, key)
        if isinstance(value, dict) and not isinstance(made, dict):
            found += unlike(value, made, f"{where}.{key}")
        elif not same(value, made):
            found.append(f"{where}.{key} = {value!r} became {made!r}")
    return found


def same(value: Any, made: Any) -> bool:
    """Whether a field holds what TOML said."""
    if made is None:
        return value == "none"
    if isinstance(made, tuple | list) and isinstance(value, list):
        return len(value) == len(made) and all(map(same, value, made))
    return type(made)(value) == made or (value != value and made != made)


def meant(cfg: config.Config, tables: dict[str, Any]) -> list[str]:
    """What a study is that its tables do not say."""
    found = [] if repr(tables) == repr(cfg.tables) else ["the tables are others"]
    for name in ("data", "run", "ann", "search"):
        if name in tables:
            found += unlike(tables[name], getattr(cfg, name), name)
    for entry in cfg.entries:
        trial, names = entry.trial, (entry.encoder, entry.neuron, entry.rule)
        parts = trial.inputs.encoder, trial.network.neuron, rule_of(trial)
        own = [tables.get(axis, {}).get(name, {}) for axis, name in zip(config.AXES, names, strict=True)]
        if not any(path.split(".")[0] in config.AXES for path in entry.overrides):
            for table, part, name in zip(own, parts, names, strict=True):
                found += unlike(table, part, name)
        if not any("network" in table for table in own) and not any("network" in path for path in entry.overrides):
            found += unlike(tables.get("network", {}), trial.network, "network")
    return found


def rule_of(trial: Any) -> Any:
    """How it learns."""
    return trial.network.rule if trial.learner.labels_neurons else trial.learner


def shown_to(cfg: config.Config, images: data.Dataset) -> data.Dataset:
    """Images, or something like the recordings that a study asks for."""
    if cfg.data.name not in data.RECORDINGS:
        return images if cfg.data.n_validation is None else images.held_out(min(cfg.data.n_validation, 5000))
    rows = np.full((1000, 289 * min(cfg.run.n_steps, 20)), 5, np.uint8)
    return data.Dataset(cfg.data.name, rows, np.arange(1000) % 10, rows[:100], np.arange(100) % 10)


def run_a_little(cfg: config.Config, images: data.Dataset, out: Path) -> list[str]:
    """Train and test one cell on a few images; what is wrong with its lines."""
    entry = cfg.entries[0]
    sets = [f'matrix.{axis}=["{getattr(entry, axis)}"]' for axis in config.AXES]
    numbers = {"data.n_train": 4, "data.n_assign": 4, "data.n_test": 3, "run.epochs": 1, "run.batch_size": 2}
    numbers |= {"run.curve_points": 1, "run.test_passes": 1, "run.n_steps": min(cfg.run.n_steps, 8), "run.rest": 0}
    sets += [f"{path}={value}" for path, value in numbers.items()] + ["run.engine=dense", "network.n_neurons=7"]
    sets = [each for each in sets if entry.trial.learner.labels_neurons or "n_neurons" not in each]
    sets += ["ann.batch_size=2", "ann.epochs=1"] if cfg.ann is not None else []
    tables, wrong = copy.deepcopy(cfg.tables), []
    for each in sets:
        config.set_path(tables, each)
    small, watcher = config.parse(tables), cast(Any, Watcher())
    for record in runs.run(small, images, out, watcher):
        accuracy, matrices = record["accuracy"], record["confusions"]
        if not 0 <= accuracy <= 1 or any(np.sum(matrix) != 3 for matrix in matrices.values()):
            wrong.append(f"{accuracy} of {matrices}")
    return wrong


def one_config(rng: random.Random, images: data.Dataset, where: Path, runs_share: float) -> str:
    """Mutate one config and try it: what came of it."""
    text, other = (rng.choice(CONFIGS).read_text("utf-8") for _ in range(2))
    text = re.sub(r"(seed\"? = \[0), 1[^]]*\]", r"\1]", text)
    if rng.random() < 0.6:
        tables = tomllib.loads(text)
        altered(rng, tables)
        cfg = config.parse(copy.deepcopy(tables))
    else:
        content, path = mutated(rng, text, other), where / "study.toml"
        path.write_bytes(content)
        cfg = config.load(path)
        tables = tomllib.loads(content.decode("utf-8-sig"))
    if wrong := meant(cfg, tables):
        return f"SILENT {wrong[0]}"
    dataset = shown_to(cfg, images)
    runs.check_memory(cfg, groups.plan([entry.trial for entry in cfg.entries]))
    runs.schedule_of(cfg, dataset)
    if rng.random() < runs_share and cfg.data.name not in data.RECORDINGS:
        alarm(SECONDS_OF_A_RUN)
        with tempfile.TemporaryDirectory(dir=where) as out:
            wrong = run_a_little(cfg, images, Path(out) / "run")
        return f"SILENT {wrong[0]}" if wrong else "run"
    return "accepted"


# ------------------------------------------------------------------------------------------------ data


def damaged(rng: random.Random, content: bytes, header: int) -> bytes:
    """Bytes with one to three things changed, the first `header` of them more often."""
    made = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 3])):
        kind, n = rng.randrange(8), len(made)
        at = rng.randrange(min(n, header) if rng.random() < 0.4 else n) if n else 0
        if kind < 3 and n:
            made[at] ^= 1 << rng.randrange(8)
        elif kind == 3 and n:
            made[at] = rng.choice([0, 1, 0x7F, 0x80, 0xF0, 0xFF])
        elif kind == 4:
            del made[at:]
        elif kind == 5:
            del made[at : at + rng.choice([1, 5, 784])]
        elif kind == 6:
            made[at:at] = made[at : at + rng.choice([1, 5, 784])] * rng.choice([1, 2, 50])
        else:
            made[at:at] = rng.randbytes(rng.choice([1, 4, 5, 1000]))
    return bytes(made)


def idx_file(values: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def unpacked(content: bytes) -> bytes | None:
    """What is in a file, gzip or not; None where it cannot be told, or where it has no end."""
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        found = gzip.GzipFile(fileobj=io.BytesIO(content)).read(2**26)
    except (OSError, EOFError, zlib.error):
        return None
    return found if len(found) < 2**26 else None


def slow_idx(content: bytes, n_dimensions: int) -> np.ndarray | None:
    """The values of an IDX file of images or labels; None for anything else."""
    found = unpacked(content)
    if found is None or found[:4] != bytes([0, 0, 8, n_dimensions]) or len(found) < 4 + 4 * n_dimensions:
        return None
    n, *rest = struct.unpack(f">{n_dimensions}I", found[4 : 4 + 4 * n_dimensions])
    values = np.frombuffer(found[4 + 4 * n_dimensions :], np.uint8)
    if n == 0 or rest != [28, 28][: n_dimensions - 1] or len(values) != n * int(np.prod(rest)):
        return None
    return values.reshape(n, -1) if rest else values if values.max() < 10 else None


def one_idx(rng: random.Random, images: data.Dataset, where: Path) -> str:
    """Damage one or two of four IDX files and read them."""
    contents = {}
    for split, n in (("train", 6), ("test", 4)):
        contents[f"{split}_images"] = idx_file(getattr(images, f"{split}_images")[:n].reshape(-1, 28, 28))
        contents[f"{split}_labels"] = idx_file(getattr(images, f"{split}_labels")[:n])
    for part in contents if rng.random() < 0.5 else ():
        contents[part] = gzip.compress(contents[part], mtime=0)
    for part in rng.sample(list(contents), rng.choice([1, 1, 2])):
        contents[part] = damaged(rng, contents[part], 20)
        if rng.random() < 0.02:
            contents[part] = gzip.compress(contents[part] + bytes(2**25))
    right = {part: slow_idx(content, 3 if "images" in part else 1) for part, content in contents.items()}
    for part, name in idx.FILES.items():
        (where / name).write_bytes(contents[part])
    whole = all(values is not None for values in right.values()) and all(
        len(right[f"{split}_images"]) == len(right[f"{split}_labels"])  # type: ignore[arg-type]
        for split in ("train", "test")
    )
    try:
        made = idx.read("mnist", idx.find(where))
    except InputError:
        if whole:
            return "SILENT a good file was refused"
        raise
    if not whole or any(not np.array_equal(getattr(made, part), cast(Any, values)) for part, values in right.items()):
        return "SILENT a data set was read that is none, or another one"
    return "accepted"


def slow_events(content: bytes) -> list[tuple[int, int, bool, int]] | None:
    """The events of a recording, one after the other; None for a file that is none."""
    found, overflows, last = [], 0, 0
    if not content or len(content) % 5:
        return None
    for x, y, *rest in zip(*[iter(content)] * 5, strict=True):
        bits = int.from_bytes(bytes(rest), "big")
        if y == 240:
            overflows += 1
            continue
        time_us = (bits & 0x7FFFFF) + 8192 * overflows
        if x >= 34 or y >= 34 or time_us < last - 1000 or time_us >= 2**31:
            return None
        found.append((x, y, bits >= 1 << 23, time_us))
        last = time_us
    return found or None


def one_recording(rng: random.Random, images: data.Dataset, where: Path) -> str:
    """Damage a recording and read it."""
    del images
    times = sorted(rng.randrange(310_000) for _ in range(rng.choice([1, 20, 300])))
    events = [bytes([rng.randrange(34), rng.randrange(34)]) + (rng.choice([0, 1 << 23]) | t).to_bytes(3) for t in times]
    if rng.random() < 0.2:
        at, n = rng.randrange(len(events) + 1), rng.choice([1, 3, 1000, 262_143])
        events[at:at] = [bytes([0, 240, 0, 0, 0])] * n
    content = damaged(rng, b"".join(events), 20)
    right, path = slow_events(content), where / "00001.bin"
    path.write_bytes(content)
    try:
        made = nmnist.read_events(path)
    except InputError:
        if right is not None:
            return "SILENT a good recording was refused"
        raise
    listed = list(zip(*(x.tolist() for x in (made.x, made.y, made.polarity, made.time_us)), strict=True))
    return "accepted" if listed == right else "SILENT other events were read"


# ------------------------------------------------------------------------------------------------ all of them


def tried(seed: int, kind: str, images: data.Dataset, where: Path, runs_share: float) -> str:
    """One case: "refused", "accepted", "run", or what was wrong with it."""
    rng = random.Random(seed)
    alarm(SECONDS)
    try:
        if kind == "config":
            return one_config(rng, images, where, runs_share)
        return (one_idx if rng.random() < 0.5 else one_recording)(rng, images, where)
    except InputError as error:
        text = str(error)
        return "refused" if "\n" not in text and len(text) < 1000 else f"LONG {text}"
    except TooLong:
        return "HANG"
    except MemoryError:
        return "MEMORY"
    except Exception:
        return f"TRACEBACK {traceback.format_exc()}"
    finally:
        alarm(0)


def main() -> None:
    """Try them all, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--configs", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=float, default=0.02, help="the share of the configs that is run")
    parser.add_argument("--only", type=int, help="the seed of one case of --kind")
    parser.add_argument("--kind", choices=("config", "file"), default="config")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, late)
    excerpt = data.load("mnist_excerpt")
    images = data.Dataset(
        "mnist", np.repeat(excerpt.train_images, 6, 0), np.repeat(excerpt.train_labels, 6),
        np.repeat(excerpt.test_images, 5, 0), np.repeat(excerpt.test_labels, 5),
    )  # fmt: skip
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + BYTES, resource.RLIM_INFINITY))
    cases = [("config", arguments.seed + i) for i in range(arguments.configs)]
    cases += [("file", arguments.seed + i) for i in range(arguments.files)]
    if arguments.only is not None:
        cases = [(arguments.kind, arguments.only)]
    counts, began = {kind: collections.Counter() for kind in ("config", "file")}, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, seed) in enumerate(cases, 1):
            outcome = tried(seed, kind, images, Path(folder), arguments.runs)
            counts[kind][outcome.split()[0]] += 1
            if outcome.split()[0].isupper():
                print(f"--only {seed} --kind {kind}: {outcome}", flush=True)
            if number % 500 == 0:
                print(f"{number} of {len(cases)}, {time.monotonic() - began:.0f} s", flush=True)
    for kind, counted in counts.items():
        print(f"{kind}s: {sum(counted.values())}; {', '.join(f'{n} {what}' for what, n in sorted(counted.items()))}")


if __name__ == "__main__":
    main()
