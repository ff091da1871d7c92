"""Imports point one way, and importing jsnn does nothing but define things: read off the source, nothing is run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODELS = ("encoders", "neurons", "rules", "synapses")

# Each layer may import from those above it in this list, and from itself in one direction.
LAYERS = (
    ("jsnn", "core"),
    ("data", "homeostasis", "surrogates", "readouts"),
    MODELS,
    ("inhibition",),
    ("networks",),
    ("engines",),
    ("grid",),
    ("learners",),
    ("runs",),
    ("analysis",),
    ("plots",),
    ("api",),
    ("experiments",),
)
LAYER = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): ast.parse(path.read_text())
    for folder in ("jsnn", "experiments")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def part(module):
    """The name a module has in LAYERS: jsnn.neurons.lif -> neurons."""
    names = module.split(".")
    return names[1] if names[0] == "jsnn" and len(names) > 1 else names[0]


def imports(module):
    """The modules of ours that `module` imports, wherever in it."""
    found = set()
    for node in ast.walk(SOURCES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside if inside <= SOURCES.keys() else inside | {node.module}
    return found & SOURCES.keys() - {module}


def outside_functions(tree):
    """The nodes that run at import: all but the bodies of functions (their decorators and defaults do run)."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += [*node.decorator_list, *node.args.defaults, *[d for d in node.args.kw_defaults if d]]
        elif isinstance(node, ast.Lambda):
            todo += [*node.args.defaults, *[d for d in node.args.kw_defaults if d]]
        else:
            todo += ast.iter_child_nodes(node)


def names(node):
    return {
        n.id if isinstance(n, ast.Name) else n.attr for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute)
    }


def test_there_is_something_to_look_at():
    assert {"jsnn.core.pytree", "jsnn.neurons.lif", "jsnn.engines.dense"} <= set(SOURCES)
    assert "jsnn.core.pytree" in imports("jsnn.neurons.lif")


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_one_way(module):
    here = part(module)
    if module == "jsnn":  # the face: its names are imported when they are used
        return
    assert here in LAYER, f"{module}: give it a place in LAYERS"
    for other in imports(module) - {"jsnn"}:
        there = part(other)
        assert LAYER[there] <= LAYER[here], f"{module} imports {other}, which is above it"
        if here in MODELS and there in MODELS:
            assert here == there, f"{module} imports {other}: {', '.join(MODELS)} know nothing of each other"


def test_imports_have_no_cycle():
    graph = {module: imports(module) - {"jsnn"} for module in SOURCES}
    while graph:
        free = {module for module, needs in graph.items() if not needs & graph.keys()}
        assert free, f"these import each other: {sorted(graph)}"
        graph = {module: needs for module, needs in graph.items() if module not in free}


@pytest.mark.parametrize("package", (*MODELS, "inhibition"))
def test_models_do_not_import_their_siblings(package):
    models = imports(f"jsnn.{package}")
    models = {module for module in models if part(module) == package}
    assert models
    for module in models:
        assert not imports(module) & models, f"{module} imports a model beside it"


@pytest.mark.parametrize("module", [name for name in SOURCES if part(name) != "experiments"])
def test_library_is_silent_and_lazy(module):
    tree = SOURCES[module]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], "prints"
    jits = [n.lineno for n in outside_functions(tree) if isinstance(n, ast.Name | ast.Attribute) and names(n) & {"jit"}]
    assert not jits, f"{module} jits at import, line {jits}"
    eager = [n for n in outside_functions(tree) if isinstance(n, ast.Call)]
    eager = [n.lineno for n in eager if names(n.func) & {"jnp", "random", "lax"}]
    assert not eager, f"{module} computes with JAX at import, line {eager}"
