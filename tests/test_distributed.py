"""Several processes of one job, on this machine: they do what one process does, and stop together."""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jsnn.core.errors import InputError, PeerLost
from jsnn.grid import link, processes

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


# --- the connections, in one process


def meet(port, *places, seconds=10.0):
    """Processes (n, number) meet, each in a thread: their connections, or what they raised."""
    met: list = [None] * len(places)

    def one(i, n, number):
        try:
            met[i] = link.meet(f"localhost:{port}", n, number, lambda text: None, seconds)
        except Exception as error:
            met[i] = error

    threads = [threading.Thread(target=one, args=(i, *place)) for i, place in enumerate(places)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join(30)
    return met


@pytest.fixture
def job():
    """Three connected processes, what each has heard of its end, and what the first was asked."""
    links = meet(free_port(), (3, 0), (3, 2), (3, 1))
    links.sort(key=lambda one: one.number)
    losses, asked = [queue.SimpleQueue() for _ in links], queue.SimpleQueue()
    for one, heard in zip(links, losses, strict=True):
        one.watch(heard.put, asked.put)
    yield links, losses, asked
    for one in links:
        one.leave()


def test_processes_tell_each_other(job):
    links, losses, asked = job
    long = "x" * 100_000
    with_values = [threading.Thread(target=one.gather, args=([one.number],)) for one in links[1:]]
    for thread in with_values:
        thread.start()
    assert links[0].gather([0]) == [[0], [1], [2]]
    assert links[0].from_first({"error": long}) == {"error": long}
    assert links[2].from_first(None) == links[1].from_first(0) == {"error": long}
    links[2].ask("enough")
    assert asked.get(timeout=5) == "enough"
    assert all(heard.empty() for heard in losses)


@pytest.mark.parametrize("victim", [0, 2])
def test_a_process_that_is_gone_is_noticed(job, victim):
    links, losses, _ = job
    links[victim].left = True  # then its connections are closed, as those of a process that is killed
    said = [losses[n].get(timeout=5) for n in range(3) if n != victim]
    assert said == [f"process {victim} of this job is gone"] * 2


def test_a_process_that_is_silent_is_noticed(monkeypatch):
    monkeypatch.setattr(link, "SILENCE", 1.0)
    links, heard = meet(free_port(), (2, 0), (2, 1)), queue.SimpleQueue()
    links[0].watch(heard.put, heard.put)
    assert heard.get(timeout=5) == "process 1 of this job has not been heard of for 1 s"
    links[1].peers[0].socket.close()


def test_processes_that_are_done_are_not_missed(job):
    links, losses, _ = job
    for one in links:
        one.leave()
        time.sleep(0.7)
    assert all(heard.empty() for heard in losses)


def test_a_process_says_why_it_ends(job):
    links, losses, _ = job
    links[1].leave("the disk is full")
    assert losses[0].get(timeout=5) == losses[2].get(timeout=5) == "the disk is full"


def test_processes_that_do_not_agree():
    for places, said in (
        ([(2, 0), (3, 1)], "process 1 of this job says that they are 3, process 0 that they are 2"),
        ([(3, 0), (3, 1), (3, 1)], "two processes of this job say that they are number 1 of 3"),
    ):
        for error in meet(free_port(), *places):
            assert isinstance(error, InputError) and str(error) == said


def test_processes_that_do_not_come():
    (error,) = meet(free_port(), (2, 0), seconds=0.5)
    assert isinstance(error, PeerLost) and "process 1 of 2 did not come within" in str(error)
    (error,) = meet(free_port(), (2, 1), seconds=0.5)
    assert isinstance(error, PeerLost) and "there was no answer from process 0 at localhost:" in str(error)


def test_a_port_in_use_and_strangers():
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        first, second = meet(port, (2, 0), (2, 1), seconds=0.5)
    assert str(first).startswith(f"process 0 cannot listen on port {port}: Address already in use; give all")
    assert isinstance(second, PeerLost)
    port, said = free_port(), []

    def strange():
        time.sleep(0.3)
        hello = json.dumps({"hello": link.HELLO}).encode()
        for line in (b"GET / HTTP/1.1\r\n\r\n", b"[" * 5000, b'{"hello": 1}\n', b"\xff\n", hello + b"\n"):
            with socket.create_connection(("localhost", port)) as stranger:
                stranger.sendall(line)
        said.extend(meet(port, (2, 1)))

    thread = threading.Thread(target=strange)
    thread.start()
    (first,) = meet(port, (2, 0))
    thread.join(30)
    assert first.n == said[0].n == 2
    for one in (first, *said):
        one.peers.popitem()[1].socket.close()


def test_what_differs_is_named():
    same = {"run.dt": "0.5", "--out": "a"}
    processes._compare([same, dict(same)])
    with pytest.raises(InputError, match="differ: run.dt is 0.5 in process 0 and 2.0 in process 1; start all"):
        processes._compare([same, same | {"run.dt": "2.0"}])
    with pytest.raises(InputError, match=r"differ: --out is a in process 0 and b in process 2 \(and 1 more\); "):
        processes._compare([same, same, {"--out": "b"}])


@pytest.mark.slow
def test_another_config_is_named(tmp_path):
    port, out = free_port(), tmp_path / "out"
    places = [["--join", f"localhost:{port},2,{i}", "--set", f"run.dt={i + 1}"] for i in range(2)]
    for process in [start(tmp_path, out, 1, *place) for place in places]:
        error = process.communicate(timeout=120)[1]
        assert process.returncode == 2
        assert error.startswith("error: the processes of this job differ: run.dt is 1 in process 0 and 2 in process 1;")
        assert error.count("\n") == 1
    assert not out.exists()


def test_outside_a_cluster(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("SLURM", "OMPI", "PMI", "KUBERNETES", "JAX_COORD"))]:
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match="--distributed: this process was started by neither SLURM nor Open MPI"):
        processes.on_cluster()
