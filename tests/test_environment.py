"""What surrounds jsnn: is this JAX one of those that compute something else than they were asked, and do the user's
settings change results, or pass for damage?
"""

import ast
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn import data, runs
from jsnn.core import numerics
from jsnn.core.errors import InputError
from jsnn.runs import checkpoint, config

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path for path in (ROOT / "experiments").glob("*.py") if "    command(main" in path.read_text())


def test_jit_computes_what_eager_does():
    """jax-ml/jax#39103: in 0.10.2 `jit` is silently wrong on CPU for a vmapped matrix-vector product and a sum."""
    i = jnp.arange(32_769, dtype=jnp.float32)
    rows = jnp.stack((i, jnp.zeros_like(i), jnp.zeros_like(i)), axis=1)
    norms = jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2))
    np.testing.assert_array_equal(jax.jit(norms)(rows), norms(rows))
    assert norms(rows)[-1] == 32_768**2


# --- JAX's settings


@contextlib.contextmanager
def setting(**options):
    """Settings of JAX as the environment would make them, for a while."""
    before = {name: getattr(jax.config, name) for name in options}
    try:
        for name, value in options.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


@pytest.mark.parametrize("folder", ["jsnn", "experiments"])
def test_keys_are_made_in_one_place(folder):
    for path in (ROOT / folder).rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        made = [ast.unparse(call) for call in calls if ast.unparse(call).endswith(("random.key", "PRNGKey"))]
        assert not made or path.name == "numerics.py" or path.parent.name == "rivals", path


def test_random_numbers_do_not_depend_on_the_default_generator():
    expected = np.asarray(jax.random.uniform(numerics.key(3), (4,)))
    for generator in ("rbg", "unsafe_rbg"):
        with setting(jax_default_prng_impl=generator):
            np.testing.assert_array_equal(jax.random.uniform(numerics.key(3), (4,)), expected)


def test_commands_compute_in_one_way():
    others = {
        "jax_enable_x64": True,
        "jax_default_prng_impl": "rbg",
        "jax_threefry_partitionable": False,
        "jax_random_seed_offset": 7,
        "jax_numpy_dtype_promotion": "strict",
        "jax_numpy_rank_promotion": "raise",
    }
    assert others.keys() == numerics.FIXED.keys()
    usual = numerics.settings()
    with setting(**others):
        assert len(numerics.differences(usual, numerics.settings())) == 4
        numerics.fix()
        assert numerics.settings() == usual
        assert jnp.zeros(1).dtype == np.float32 and jax.random.key(0) == numerics.key(0)


@pytest.mark.parametrize(
    "name, value",
    [
        ("jax_disable_jit", True),
        ("jax_debug_infs", True),
        ("jax_debug_key_reuse", True),
        ("jax_transfer_guard", "disallow"),
        ("jax_transfer_guard_device_to_host", "disallow_explicit"),
        ("jax_numpy_dtype_promotion", "strict"),
        ("jax_numpy_rank_promotion", "raise"),
    ],
)
def test_settings_without_which_no_run_can_be(name, value):
    with setting(**{name: value}), pytest.raises(InputError, match=f"^{name.upper()} = {value}: it should be "):
        numerics.check()
    numerics.check()


def test_settings_are_compared(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4 --xla_dump_to=dump")
    before = numerics.settings()
    assert before["XLA_FLAGS"] == []  # what leaves numbers alone
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    with setting(jax_default_matmul_precision="highest"):
        assert numerics.differences(before, numerics.settings()) == [
            "jax_default_matmul_precision is highest now and was None",
            "XLA_FLAGS is ['--xla_cpu_enable_fast_math=true'] now and was []",
        ]
    assert numerics.differences({}, before) == []  # a run of before they were written down


STUDIES = {
    "plastic": """
        [run]
        n_steps = 6
        [network]
        n_neurons = 5
        """,
    "gradient": """
        [run]
        n_steps = 4
        batch_size = 4
        [matrix]
        neuron = ["unit_lif"]
        rule = ["bptt"]
        [network]
        architecture = "6-10"
        """,
}
SIZES = """
study = "small"
[data]
name = "mnist_excerpt"
n_train = 8
n_test = 4
"""


class Nobody:
    """An observer that does not look, but for damage."""

    def __getattr__(self, name):
        return lambda *arguments: None

    def warn(self, message):
        assert "damaged" not in message


@pytest.fixture(params=STUDIES)
def small(request, tmp_path):
    """A study, its data, and a run of it."""
    (tmp_path / "study.toml").write_text(SIZES + STUDIES[request.param])
    study = SimpleNamespace(cfg=config.load(tmp_path / "study.toml"), data=data.load("mnist_excerpt"), out=tmp_path)
    study.run = lambda out, **how: runs.run(study.cfg, study.data, tmp_path / out, Nobody(), clock=False, **how)
    study.lines = study.run("out")
    return study


def test_another_precision_is_no_damage(small):
    before = (small.out / "out" / "config.json").read_bytes()
    with setting(jax_enable_x64=True):
        with pytest.raises(InputError, match="^--resume: jax_enable_x64 is True now and was False when the run in "):
            small.run("out", resume=True)
        with pytest.raises(InputError, match="was saved with jax_enable_x64 = False: it should be read with that"):
            runs.load_trained(small.out / "out", pytest.fail)
    assert small.run("out", resume=True) == small.lines
    assert (small.out / "out" / "config.json").read_bytes() == before


@pytest.mark.parametrize("name, value", [("jax_default_prng_impl", "rbg"), ("jax_debug_nans", True)])
def test_results_do_not_depend_on(small, name, value):
    with setting(**{name: value}):
        assert small.run("again") == small.lines
        assert small.run("out", resume=True) == small.lines
        runs.load_trained(small.out / "out", pytest.fail)


def test_a_checkpoint_of_more_bits(tmp_path):
    with jax.enable_x64(True):
        arrays = {"w": np.asarray(jnp.arange(3.0))}
        checkpoint.save(tmp_path, 1, arrays, {})
        assert checkpoint.restore(tmp_path, arrays, pytest.fail)[1]["w"].dtype == np.float64
    with pytest.raises(InputError, match="was saved with jax_enable_x64 = True"):
        checkpoint.restore(tmp_path, {"w": np.zeros(3, np.float32)}, pytest.fail)


# --- the environment of the commands


def ask(code, **environment):
    """What Python says to some lines of code in an environment, with the commands at hand."""
    start = f"import sys; sys.path[:0] = [{str(ROOT / 'experiments')!r}, {str(ROOT)!r}]\n"
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp")} | environment
    return subprocess.run(
        [sys.executable, "-c", start + code], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "environment, said",
    [
        ({"XLA_FLAGS": "--nonsense"}, "XLA_FLAGS = --nonsense: Unknown flag in XLA_FLAGS: --nonsense"),
        ({"JAX_PLATFORMS": "nonsense"}, "JAX_PLATFORMS = nonsense: JAX finds no such device (Unable to"),
        ({"JAX_ENABLE_X64": "perhaps"}, "invalid truth value 'perhaps' for environment 'JAX_ENABLE_X64'; see"),
        ({"JSNN_CACHE": "here"}, "JSNN_CACHE = here: it should be an absolute path"),
        ({"JAX_DISABLE_JIT": "1"}, "JAX_DISABLE_JIT = True: it should be False, since"),
    ],
)
def test_a_command_refuses_in_a_line(environment, said):
    ended = ask("from console import command, prepare_jax; command(prepare_jax)", **environment)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith(f"error: {said}") and ended.stderr.count("\n") == 1


def test_all_programs_are_kept_in_one_place(tmp_path):
    code = "from console import prepare_jax; prepare_jax(); import jax; print(jax.config.jax_compilation_cache_dir)"
    found = ask(code, JSNN_CACHE=str(tmp_path), XDG_CACHE_HOME="/elsewhere", JAX_PLATFORMS="cpu")
    assert found.stdout == f"{tmp_path / 'xla'}\n", found.stderr
    (tmp_path / "xla").write_text("a file")
    assert ask(code, JSNN_CACHE=str(tmp_path), JAX_PLATFORMS="cpu").stdout == "None\n"


def test_a_damaged_program_is_compiled_again(tmp_path):
    code = """
from console import command, prepare_jax
def main():
    prepare_jax()
    import jax, jax.numpy as jnp
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    print(jax.jit(lambda x: (x * 3 + 1).sum())(jnp.arange(4.0)))
command(main)
"""
    environment = {"JSNN_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    assert ask(code, **environment).stdout == "22.0\n"
    for path in (tmp_path / "xla").glob("*-cache"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
    again = ask(code, **environment)
    assert again.returncode == 0 and again.stdout == "22.0\n"
    assert again.stderr and all(line.startswith("warning: ") for line in again.stderr.splitlines()), again.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_command_finds_what_is_beside_it(script):
    """Also under PYTHONSAFEPATH, which leaves a script's directory out of the path."""
    first, *_ = [line for line in script.read_text().splitlines() if line.startswith(("sys.path", "from console"))]
    assert first.startswith("sys.path.insert(0, str(Path(__file__).parent))")


def test_pythonsafepath(tmp_path):
    command = [sys.executable, "-P", str(ROOT / "experiments" / "matrix.py"), "--help"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
