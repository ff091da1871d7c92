"""Several processes of one job, on this machine: they do what one process does, and stop together."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STUDY = """
study = "distributed"
[data]
name = "mnist_excerpt"
n_train = 64
n_assign = 24
n_test = 24
[run]
n_steps = 20
dt = 5.0
engine = "dense"
curve_points = 8
checkpoint_seconds = 0.0
[network]
n_neurons = 10
[sweep]
"run.seed" = [0, 1, 2]
"""


def start(tmp_path, out, n_devices, *arguments):
    """The command, with so many host devices of its own."""
    toml = tmp_path / "study.toml"
    toml.write_text(STUDY)
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={n_devices}",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path.parent / "xla"),
        "GIT_DIR": str(tmp_path),  # no commit may change it meanwhile
    }
    command = [sys.executable, str(ROOT / "experiments" / "matrix.py"), str(toml), "--out", str(out)]
    command += ["--no-figures", "--no-clock", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free_port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def start_two(tmp_path, out, *arguments):
    port = free_port()
    return [start(tmp_path, out, 2, "--join", f"localhost:{port},2,{i}", *arguments) for i in range(2)]


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The results of one process with four devices, of which three have a trial."""
    path = tmp_path_factory.mktemp("one")
    finish(start(path, path / "out", 4))
    written = (path / "out" / "results.jsonl").read_bytes()
    assert len(written.splitlines()) == 3
    return written


@pytest.mark.slow
def test_two_processes_are_one(reference, tmp_path):
    out = tmp_path / "out"
    said = [finish(process) for process in start_two(tmp_path, out)]
    assert (out / "results.jsonl").read_bytes() == reference
    assert "results" in said[0] and "results" not in said[1]  # the first one speaks
    refused = start_two(tmp_path, out)
    errors = [process.communicate(timeout=120)[1] for process in refused]
    assert [process.returncode for process in refused] == [2, 2]
    assert all("already holds a run" in error for error in errors)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_one_is_killed(reference, tmp_path, victim):
    """The other one says so and stops, within a minute; all go on together."""
    out = tmp_path / "out"
    processes = start_two(tmp_path, out)
    while not (out / "state" / "lane-000" / "3").exists():
        assert all(process.poll() is None for process in processes), processes[0].communicate()
        time.sleep(0.05)
    processes[victim].kill()
    killed = time.monotonic()
    _, error = processes[1 - victim].communicate(timeout=60)
    assert time.monotonic() - killed < 60 and processes[1 - victim].returncode == 3
    assert error == f"error: process {victim} of this job is gone; start all with --resume\n"
    processes[victim].communicate()
    if victim == 1:
        return
    for process in start_two(tmp_path, out, "--resume"):
        finish(process)
    assert (out / "results.jsonl").read_bytes() == reference
    assert len(json.loads(reference.splitlines()[0])["curve"]) > 3


@pytest.mark.parametrize("text", ["localhost:1,2", "localhost,2,0", "localhost:1,2,2", "a:b,2,0"])
def test_a_wrong_place_in_the_job(tmp_path, text):
    process = start(tmp_path, tmp_path / "out", 1, "--join", text)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert error == f"error: --join {text}: it should be HOST:PORT,N,I with I from 0 to N - 1\n"
    assert not (tmp_path / "out").exists()
