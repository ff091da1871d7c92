"""TOML <-> studies: the one place where a user's numbers enter, and where they are checked.

A table overlays the default instance of a registry entry: its keys are the fields of the node, the type beside a field
is its range, `kind` chooses another entry. Whatever is wrong is an InputError of one line that says where.
"""

import dataclasses
import difflib
import itertools
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Gt, Len, Lt
from pydantic import ConfigDict, TypeAdapter, ValidationError

from jsnn.core.errors import InputError
from jsnn.core.protocols import Encoder, Inhibition, Neuron, Rule, Synapse
from jsnn.core.ranges import Count, NonNegative, Positive, Probability, Seed, Steps
from jsnn.data.augmentation import Augmentation
from jsnn.encoders import ENCODERS, GIVEN
from jsnn.engines.stimulus import Inputs, Repeat
from jsnn.grid.groups import Trial
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.homeostasis.synaptic_scaling import SynapticScaling
from jsnn.inhibition import INHIBITIONS
from jsnn.learners import LEARNERS, Learner, Plasticity
from jsnn.learners.ann import ANN
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.networks.feedforward import Feedforward, ReLU
from jsnn.neurons import NEURONS
from jsnn.rules import RULES
from jsnn.runs import components
from jsnn.surrogates import SURROGATES, Surrogate
from jsnn.synapses import SYNAPSES

REGISTRIES: dict[str, Mapping[str, Any]] = {
    "encoder": ENCODERS | GIVEN,
    "neuron": NEURONS | {"relu": ReLU()},
    "rule": RULES | LEARNERS,
    "synapse": SYNAPSES,
    "inhibition": INHIBITIONS,
    "surrogate": SURROGATES,
}
# What a component of the user's own has to be, one of them: see `jsnn.core.protocols`.
PROTOCOLS: dict[str, tuple[type, ...]] = {
    "encoder": (Encoder,),
    "neuron": (Neuron,),
    "rule": (Rule, Learner),
    "synapse": (Synapse,),
    "inhibition": (Inhibition,),
    "surrogate": (Surrogate,),
}
# Fields that a table turns on and "none" turns off.
OPTIONAL = {
    "adaptation": AdaptiveThreshold(),
    "scaling": SynapticScaling(),
    "again": Repeat(),
    "augmentation": Augmentation(),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is shown; an omitted number means all there are."""

    name: typing.Literal["mnist_excerpt", "mnist", "fashion_mnist", "kmnist", "nmnist", "saccades_mnist"] = (
        "mnist_excerpt"
    )
    n_train: Count | None = None
    n_assign: Count | None = None  # training images whose responses label the neurons; at most n_train by default
    n_test: Count | None = None
    n_validation: Steps | None = None  # training images, the last ones, in the place of the test images; 0 is none


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How it is shown."""

    epochs: Count = 1
    batch_size: Count = 1
    n_steps: Count = 100  # of an image
    rest: Steps = 0  # steps of silence after it
    again: Repeat | None = None  # whether an image that few neurons answer is shown again
    augmentation: Augmentation | None = None  # of training images, for networks trained by gradients
    dt: Positive = 1.0  # ms
    seed: Seed = 0
    test_passes: Count = 1  # how often the test images are shown; a neuron's answer is its counts in all of them
    readout: typing.Literal[
        "all_activity", "proportion_weighting", "naive_bayes", "linear", "accumulated", "labelled_on_test_images"
    ] = "all_activity"
    engine: typing.Literal["auto", "event", "ahead", "sparse", "dense"] = "auto"  # "auto": the faster one, measured
    grid: typing.Literal["auto", "map", "vmap"] | Count = "auto"  # trials of a device: one by one, all, or so many
    curve_points: Count = 20  # an epoch; between two of them a run can be interrupted
    checkpoint_seconds: NonNegative = 30.0  # at least so long between two checkpoints


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """How the numbers of each cell are tuned (`jsnn.runs.search`): `candidates` of them, of which `keep` go from each
    rung to the next; a rung says how many images they are trained on.
    """

    candidates: Count = 27
    rungs: list[Count] = dataclasses.field(default_factory=lambda: [1000, 3000, 9000])
    keep: Annotated[float, Gt(0), Lt(1)] = 1 / 3
    seed: Seed = 0
    ranges: dict[str, Annotated[list[float], Len(2, 2)]] = dataclasses.field(default_factory=dict)  # path: from, to


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One trial of a study and what it is called."""

    encoder: str
    neuron: str
    rule: str
    overrides: dict[str, Any]
    trial: Trial


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A study, checked."""

    study: str
    data: DataConfig
    run: RunConfig
    entries: tuple[Entry, ...]
    ann: ANN | None
    search: Search | None
    published: dict[tuple[str, str, str], float]  # what others reported for the cells, drawn beside the results
    tables: dict[str, Any]  # as they were given, overrides included: what a run is compared with on --resume
    base: Path = Path()  # the directory that files of components are relative to
    sources: dict[str, bytes] = dataclasses.field(default_factory=dict)  # those files, by name (`jsnn.runs.components`)


NAME = re.compile(r"\w[\w.+-]{0,59}")  # of a study (a directory) and of its components
DEEPEST = 16  # levels of tables and lists
LARGEST_FILE = 10**6  # bytes of a config
AXES = ("encoder", "neuron", "rule")
SHOWN = ("seed", "dt", "n_steps", "rest", "again", "augmentation", "batch_size")  # of [run]: what a trial is shown
TABLES = ("study", "data", "run", "matrix", *AXES, "network", "cell", "sweep", "search", "ann", "published")


def unknown(what: str, name: object, known: Iterable[str], where: str) -> InputError:
    """The error for a name that is not known: names the nearest that is."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"do you mean {near[0]!r}?" if near else "known: " + ", ".join(known)
    return InputError(f"{where}: unknown {what} {name!r}; {hint}")


def shown(value: Any) -> str:
    """A value in an error, or the beginning of a long one."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        text = hex(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def plain(tables: Mapping[str, Any]) -> None:
    """Raises InputError for tables that no study has: nested without end, or with integers that nothing can hold."""
    level: list[tuple[str, Any]] = [("", tables)]
    depth = 0
    while level:
        if depth > DEEPEST:
            raise InputError(f"{shown(level[0][0])[1:-1]}: tables and lists should be nested at most {DEEPEST} deep")
        below: list[tuple[str, Any]] = []
        for path, value in level:
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise InputError(f"{path} = {shown(value)}: it should be a valid number, of at most 64 bits")
            if isinstance(value, Mapping):
                below += [(f"{path}.{key}".lstrip("."), item) for key, item in value.items()]
            elif isinstance(value, list):
                below += [(path, item) for item in value]
        level, depth = below, depth + 1


def check(value: Any, annotation: Any, where: str) -> Any:
    """`value` as its field's type, or an InputError that says what it should be."""
    try:
        return TypeAdapter(annotation, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].replace("Input should", "it should")
        raise InputError(f"{where} = {shown(value)}: {reason}") from None


def table_of(value: Any, where: str) -> Mapping[str, Any]:
    """`value` if it is a table."""
    if not isinstance(value, Mapping):
        raise InputError(f"{where} = {shown(value)}: it should be a table")
    return value


def name_of(value: Any, where: str) -> str:
    """`value` if it is a name that can stand in a path, a table and a figure."""
    name = check(value, str, where)
    if not NAME.fullmatch(name):
        raise InputError(f"{where} = {shown(name)}: it should be a name of at most 60 letters, digits and _ - + .")
    return name


def overlay(default: Any, table: Any, where: str) -> Any:
    """A copy of a dataclass with the keys of `table` in place of its fields, each checked against its field's type.

    "none" turns an optional field off; a table whose node has a registry may choose another entry with `kind`.
    """
    hints = typing.get_type_hints(type(default), include_extras=True)
    changes = {}
    for key, value in table_of(table, where).items():
        if key not in hints:
            raise unknown("key", key, hints, where)
        path, current = f"{where}.{key}", getattr(default, key)
        if value == "none" and type(None) in typing.get_args(hints[key]):
            changes[key] = None
        elif key in REGISTRIES and dataclasses.is_dataclass(current):  # a component: `kind` may choose another entry
            changes[key] = choose(key, value, current, path)
        elif key in OPTIONAL or dataclasses.is_dataclass(current):
            changes[key] = overlay(OPTIONAL[key] if current is None else current, value, path)
        else:
            changes[key] = check(value, hints[key], path)
    return dataclasses.replace(default, **changes)


def choose(registry: str, table: Any, default: Any, where: str) -> Any:
    """An entry of a registry with a table over it: the entry that `kind` names, or `default`."""
    table = dict(table_of(table, where))
    entries = REGISTRIES[registry]
    kind = table.pop("kind", None)
    if isinstance(kind, components.Component):
        default = own(kind, registry, f"{where}.kind")
    elif kind is not None:
        if check(kind, str, f"{where}.kind") not in entries:
            raise unknown(registry, kind, entries, f"{where}.kind")
        default = entries[kind]
    return overlay(default, table, where)


def own(component: components.Component, registry: str, where: str) -> Any:
    """A component of the user's own. Raises InputError where it has not the methods of this registry's protocol."""
    lacks = [components.missing(component.value, protocol) for protocol in PROTOCOLS[registry]]
    if all(lacks):
        wanted = " or ".join(protocol.__name__ for protocol in PROTOCOLS[registry])
        raise InputError(f'{where} = "{component.name}": it should be a {wanted}; it has no {", no ".join(lacks[0])}')
    return component.value


def component(tables: Mapping[str, Any], registry: str, name: str) -> tuple[Any, Any]:
    """The encoder, neuron or rule that a study calls `name`: its table, or the registry's entry of that name.

    Its `network` table, if it has one, comes back apart: what the network is in the cells that use this component.
    """
    table = dict(table_of(tables.get(registry, {}).get(name, {}), f"{registry}.{name}"))
    network = table.pop("network", {})
    entries = REGISTRIES[registry]
    if name not in entries and "kind" not in table:
        raise unknown(registry, name, {*entries, *tables.get(registry, {})}, f"matrix.{registry}")
    name_of(name, f"matrix.{registry}")
    return choose(registry, table, entries.get(name), f"{registry}.{name}"), network


SWEEPABLE = {
    "run": lambda t, table, where: with_inputs(t, overlay(t.inputs, table, where)),
    "encoder": lambda t, table, where: with_inputs(
        t, dataclasses.replace(t.inputs, encoder=overlay(t.inputs.encoder, table, where))
    ),
    "network": lambda t, table, where: dataclasses.replace(t, network=overlay(t.network, table, where)),
    "neuron": lambda t, table, where: with_network(t, neuron=overlay(t.network.neuron, table, where)),
    "rule": lambda t, table, where: (
        with_network(t, rule=overlay(t.network.rule, table, where))
        if hasattr(t.network, "rule")
        else dataclasses.replace(t, learner=overlay(t.learner, table, where))
    ),
}


def with_inputs(trial: Any, inputs: Inputs) -> Any:
    """The trial with other inputs."""
    return dataclasses.replace(trial, inputs=inputs)


def with_network(trial: Any, **changes: Any) -> Any:
    """The trial with fields of its network changed."""
    return dataclasses.replace(trial, network=dataclasses.replace(trial.network, **changes))


def nested(keys: Sequence[str], value: Any) -> Any:
    """The table of tables that has a value at these keys."""
    for key in reversed(keys):
        value = {key: value}
    return value


def swept(trial: Any, path: str, value: Any, where: str = "sweep") -> Any:
    """The trial with the value at a dotted path (run.seed, rule.eta_post, network.n_neurons, ...) replaced. Trials
    that differ in numbers share a program; those that differ in sizes, words or what is "none" have one each.
    """
    root, *keys = path.split(".")
    if root not in SWEEPABLE or not keys:
        raise unknown("path", path, (f"{r}.<number>" for r in SWEEPABLE), where)
    changed = SWEEPABLE[root](trial, nested(keys, value), f"{where}.{root}")
    if isinstance(value, Mapping | list):
        raise InputError(f"{where}.{path} = {shown(value)}: it should be a number or a word")
    return changed


def named(tables: Mapping[str, Any], axis: str, chosen: Iterable[str]) -> set[str]:
    """What may be named for an axis, chosen or not: entries of the registry, and own tables with a kind."""
    own = table_of(tables.get(axis, {}), axis)
    return {
        *chosen,
        *REGISTRIES[axis],
        *(name for name in own if isinstance(own[name], Mapping) and "kind" in own[name]),
    }


def sweep_of(tables: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values that [sweep] gives to each path."""
    sweep = flatten(table_of(tables.get("sweep", {}), "sweep"))
    if not sweep and "sweep" in tables:
        raise InputError("sweep: it is empty; it should hold numbers to sweep, e.g. run.seed = [0, 1], or be left out")
    for path, values in sweep.items():
        if not isinstance(values, list) or not values or any(v in values[:i] for i, v in enumerate(values)):
            raise InputError(f"sweep.{path} = {shown(values)}: it should be a list of one or more values, each once")
        apart([path], [other for other in sweep if other != path], "sweep", "[sweep] has")
    return sweep


def points_of(
    tables: Mapping[str, Any], names: Mapping[str, Sequence[str]], sweep: Iterable[str]
) -> list[tuple[set[str], dict[str, Any]]]:
    """The [[cell]] tables: of which components a cell is made that each is for (an axis that it leaves out may have
    any), and numbers of such a cell, by path, that [sweep] does not have. They may be for components that are not
    chosen.
    """
    points = []
    for i, table in enumerate(check(tables.get("cell", []), list[dict[str, Any]], "cell"), 1):
        for axis in AXES:
            if axis in table and table[axis] not in names[axis]:
                if isinstance(table[axis], str) and table[axis] in named(tables, axis, names[axis]):
                    continue
                raise unknown(axis, table[axis], names[axis], f"cell {i}: {axis}")
        numbers = {path: value for path, value in flatten(table).items() if path not in AXES}
        for path in numbers:
            apart([path], [other for other in numbers if other != path], f"cell {i}", "it has")
        apart(numbers, sweep, f"cell {i}", "[sweep] has")
        point = {f"{axis}.{table[axis]}" for axis in AXES if axis in table}, numbers
        if point in points:
            raise InputError(f"cell {i}: it is cell {points.index(point) + 1} again; it should be given once")
        points.append(point)
    return points


def expand(tables: Mapping[str, Any], run: RunConfig) -> tuple[Entry, ...]:
    """All trials of a study: the matrix of encoders, neurons and rules, each with its own numbers, times the sweep."""
    matrix = table_of(tables.get("matrix", {}), "matrix")
    for key in matrix:
        if key not in AXES:
            raise unknown("key", key, AXES, "matrix")
    axes = []
    for registry, default in (("encoder", "poisson"), ("neuron", "adaptive_lif"), ("rule", "stdp")):
        names = check(matrix.get(registry, [default]), list[str], f"matrix.{registry}")
        if not names or len(set(names)) < len(names):
            raise InputError(f"matrix.{registry} = {names}: it should list one or more names, each once")
        parts = table_of(tables.get(registry, {}), registry)
        for name in parts:
            if name not in (known := named(tables, registry, names)):
                raise unknown(registry, name, known, f"[{registry}.{name}] is not in matrix.{registry}")
            component(tables, registry, name)  # what is not chosen should make sense, too
        axes.append([(name, component(tables, registry, name)) for name in names])
    sweep = sweep_of(tables)
    points = points_of(tables, {axis: [name for name, _ in axes[i]] for i, axis in enumerate(AXES)}, sweep)
    entries = []
    for (e, (encoder, e_network)), (n, (neuron, n_network)), (r, (rule, r_network)) in itertools.product(*axes):
        learner = rule if isinstance(rule, Learner) else Plasticity()
        network = overlay(learner.network(neuron, rule), tables.get("network", {}), "network")
        network = overlay(network, e_network, f"encoder.{e}.network")
        network = overlay(network, n_network, f"neuron.{n}.network")
        network = overlay(network, r_network, f"rule.{r}.network")
        inputs = Inputs(encoder=encoder, **{name: getattr(run, name) for name in SHOWN})
        base = Trial(inputs=inputs, network=network, learner=learner)
        parts = {f"encoder.{e}", f"neuron.{n}", f"rule.{r}"}
        own = [numbers for which, numbers in points if which <= parts] or [{}]
        for numbers, values in itertools.product(own, itertools.product(*sweep.values())):
            overrides, trial = numbers | dict(zip(sweep, values, strict=True)), base
            for path, value in overrides.items():
                trial = swept(trial, path, value, "sweep" if path in sweep else "cell")
            trial.learner.check(trial, f"{e} x {n} x {r}")
            entries.append(Entry(encoder=e, neuron=n, rule=r, overrides=overrides, trial=trial))
    return tuple(entries)


def meant(tables: Mapping[str, Any], entries: Sequence[Entry], path: str, values: Sequence[Any], where: str) -> None:
    """Raises InputError if `values` at a dotted path would be refused in all cells and components, chosen or not."""
    root, *keys = path.split(".")
    parts: list[Any] = []
    if root in AXES and keys:
        own = table_of(tables.get(root, {}), root)
        parts = [component(tables, root, name)[0] for name in sorted({*own, *REGISTRIES[root]})]
    elif root == "network" and keys:
        parts = [CompetitiveNetwork(neuron=NEURONS["lif"], rule=RULES["stdp"]), Feedforward()]
    refusal: InputError | None = None
    for of in [*(entry.trial for entry in entries), *parts]:
        try:
            for value in values:
                if isinstance(of, Trial):
                    swept(of, path, value, where)
                else:
                    overlay(of, nested(keys, value), f"{where}.{root}")
            return
        except InputError as error:
            refusal = refusal or error
    raise refusal or InputError(f"{where}.{path}: no cell has this number")


def check_search(tables: Mapping[str, Any], entries: Sequence[Entry], search: Search) -> None:
    """Raises InputError for ranges and rungs that no search could have."""
    for path, (low, high) in search.ranges.items():
        if not 0 < low < high:
            raise InputError(
                f"search.ranges.{path} = [{low}, {high}]: it should be two numbers above 0, the smaller first"
            )
        meant(tables, entries, path, (low, high), "search.ranges")
    if not search.rungs or any(a >= b for a, b in itertools.pairwise(search.rungs)):
        raise InputError(f"search.rungs = {search.rungs}: it should be numbers of images that grow")


def check_cells_left_aside(tables: Mapping[str, Any], entries: Sequence[Entry]) -> None:
    """Raises InputError for numbers that make no sense in [[cell]] tables of components that are not chosen."""
    chosen = {axis: {getattr(e, axis) for e in entries} for axis in AXES}
    for i, table in enumerate(tables.get("cell", []), 1):
        if not all(table[axis] in chosen[axis] for axis in AXES if axis in table):
            for path, value in flatten(table).items():
                if path not in AXES:
                    meant(tables, entries, path, [value], f"cell {i}")


def published_of(tables: Mapping[str, Any], entries: Sequence[Entry]) -> dict[tuple[str, str, str], float]:
    """The accuracies in [published]: encoder.neuron.rule = accuracy for cells of the matrix, and ann = accuracy."""
    flat = flatten(table_of(tables.get("published", {}), "published"))
    names = {f"{e.encoder}.{e.neuron}.{e.rule}": (e.encoder, e.neuron, e.rule) for e in entries}
    names["ann"] = ("none", "relu", "backprop")
    chosen = {axis: {getattr(e, axis) for e in entries} for axis in AXES}
    others = {".".join(cell) for cell in itertools.product(*(named(tables, axis, chosen[axis]) for axis in AXES))}
    published = {}
    for path, value in flat.items():
        if path not in names and path not in others:
            raise unknown("cell", path, names, "published")
        accuracy = check(value, Probability, f"published.{path}")
        if path in names:
            published[names[path]] = accuracy
    return published


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted paths for keys. Raises InputError for a path that is there twice."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        below = isinstance(value, Mapping) and value
        found = flatten(value, f"{prefix}{key}.") if below else {f"{prefix}{key}": value}
        for path in found:
            if path in flat:
                raise InputError(f"{path} is given twice, in two spellings; it should be given once")
        flat |= found
    return flat


def apart(paths: Iterable[str], others: Iterable[str], where: str, why: str) -> None:
    """Raises InputError for a path that is among others, or is a table of which one of the others is a part."""
    for path, other in itertools.product(paths, others):
        if path == other or f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}."):
            also = "it" if path == other else other
            raise InputError(f"{where}.{path}: {why} {also}, too; it should be given once")


def set_path(tables: dict[str, Any], assignment: str) -> None:
    """Apply one `--set dotted.path=value`; the value is written as in TOML, and a bare word is a string."""
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise InputError(f"--set {assignment}: it should be dotted.path=value")
    try:
        given = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        given = {}
    value = given["value"] if given.keys() == {"value"} else text
    *parents, last = path.strip().split(".")
    for i, key in enumerate(parents):
        whole = ".".join([*parents[i:], last])
        if whole in tables:  # written in quotes
            last = whole
            break
        tables = tables.setdefault(key, {})
        if not isinstance(tables, dict):
            raise InputError(f"--set {assignment}: {key} = {shown(tables)}: it should be a table to hold {last}")
    tables[last] = value


def lost(cfg: Config, assignments: Iterable[str]) -> None:
    """Raises InputError for an assignment that changes nothing, as all trials have numbers of their own there."""
    for assignment in assignments:
        given: dict[str, Any] = {}
        set_path(given, assignment)
        for key in flatten(given):
            if all(key in entry.overrides for entry in cfg.entries):
                swept = key in flatten(cfg.tables.get("sweep", {}))
                what = f"[sweep] sweeps it; write --set 'sweep.{key}=[...]'" if swept else "each [[cell]] has its own"
                raise InputError(f"--set {assignment}: {what}")


def parse(tables: dict[str, Any], base: Path = Path()) -> Config:
    """Check a study's tables and build its trials.

    Args:
        tables: The tables, as of a TOML file.
        base: The directory that files of components (`jsnn.runs.components`) are relative to.

    Raises:
        InputError: Something in them is wrong.
    """
    plain(tables)
    given, (tables, sources) = tables, components.resolve(tables, base)
    for key in tables:
        if key not in TABLES:
            raise unknown("table", key, TABLES, "config")
    if "study" not in tables:
        raise InputError('config: no name; give it one: study = "..."')
    study = name_of(tables["study"], "study")
    data = overlay(DataConfig(), tables.get("data", {}), "data")
    run = overlay(RunConfig(), tables.get("run", {}), "run")
    ann = overlay(ANN(), tables["ann"], "ann") if "ann" in tables else None
    search = overlay(Search(), tables["search"], "search") if "search" in tables else None
    entries = expand(tables, run)
    check_cells_left_aside(tables, entries)
    if search is not None:
        check_search(tables, entries, search)
    if data.n_train is not None:
        if largest_batch(entries) > data.n_train:
            batch = largest_batch(entries)
            raise InputError(f"run.batch_size = {batch}: it should be at most data.n_train = {data.n_train}")
        if data.n_assign is not None and data.n_assign > data.n_train:
            raise InputError(f"data.n_assign = {data.n_assign}: it should be at most data.n_train = {data.n_train}")
    check_read(entries, data, run)
    published = published_of(tables, entries)
    return Config(
        study=study,
        data=data,
        run=run,
        entries=entries,
        ann=ann,
        search=search,
        published=published,
        tables=given,
        base=base,
        sources=sources,
    )


def check_read(entries: Sequence[Entry], data: DataConfig, run: RunConfig) -> None:
    """Raises InputError for keys that were given and that no learner reads, or for run.test_passes, which changes what
    an accuracy is of, that one of them does not read.
    """
    given = {f"run.{key}" for key, value in vars(run).items() if value != getattr(RunConfig(), key)}
    given |= {f"data.{key}" for key, value in vars(data).items() if value is not None}
    for entry in entries:
        learner = entry.trial.learner
        for key in learner.unread:
            others = [other.trial.learner for other in entries if key not in other.trial.learner.unread]
            if key in given and not others:
                raise InputError(f"{key} has no effect: it is for local plasticity, and all here learns by gradients")
            if key in given and key == "run.test_passes":
                raise InputError(f"{key} has no effect on {entry.rule}: it is for local plasticity")


def largest_batch(entries: Iterable[Entry]) -> int:
    """Of all trials."""
    return max(entry.trial.inputs.batch_size for entry in entries)


def load(path: Path, assignments: Sequence[str] = ()) -> Config:
    """Read a study from a TOML file, with `--set` assignments over it. Raises InputError."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise InputError(f"{path}: it should be a study, in a file of at most {LARGEST_FILE} bytes")
        if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content[:2]:
            raise InputError(f"{path}: it is UTF-16 or UTF-32; it should be UTF-8: save it as that")
        tables = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot read the config {path}: {error.strerror}; known studies are in configs/") from None
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number of thousands of digits, deep nesting
        raise InputError(f"{path}: not TOML: {' '.join(str(error).split())}") from None
    for assignment in assignments:
        set_path(tables, assignment)
    try:
        cfg = parse(tables, path.parent)
        lost(cfg, assignments)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return cfg
