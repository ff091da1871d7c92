"""results.jsonl: whole lines or none, whatever goes wrong, and a clear word about what is damaged."""

import contextlib
import errno
import json
import math
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jsnn.core.errors import InputError
from jsnn.core.files import UNFINISHED, sweep
from jsnn.runs import records, results

FIRST = {"study": "a", "accuracy": 0.1}
SECOND = {"study": "störung", "seed": None, "curve": [[1, 0.30000000000000004]]}


@pytest.fixture
def path(tmp_path):
    """A results file with one record, alone in its directory."""
    path = tmp_path / "run" / "results.jsonl"
    results.append(path, [FIRST])
    return path


def files(path):
    return {p.name: p.read_bytes() for p in path.parent.iterdir()}


def test_no_file_has_no_records(tmp_path):
    assert results.read(tmp_path / "none" / "results.jsonl") == []


def test_records_come_back_in_order(path):
    results.append(path, [SECOND, FIRST])
    results.append(path, [])
    results.append(path, [SECOND])
    assert results.read(path) == [FIRST, SECOND, FIRST, SECOND]
    assert path.read_bytes().count(b"\n") == 4 and path.read_bytes().endswith(b"}\n")
    lines = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
    assert all(len(line.pop("sha256")) == 16 for line in lines) and lines == results.read(path)
    assert list(files(path)) == ["results.jsonl"]


@pytest.mark.parametrize("step", ["mkdir", "fsync", "replace"])
@pytest.mark.parametrize(
    ("failure", "raised"),
    [(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), InputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_failure_at_any_step_leaves_the_file_as_it_was(step, failure, raised, path, monkeypatch):
    before = files(path)

    def fail(*_, **__):
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(os if step == "fsync" else Path, step, fail)
        with pytest.raises(raised) as caught:
            results.append(path, [SECOND])
    if raised is InputError:
        assert str(caught.value) == f"cannot write {path}: No space left on device; choose another --out"
    assert files(path) == before
    results.append(path, [SECOND])
    assert results.read(path) == [FIRST, SECOND]


def test_a_record_that_is_no_json_is_not_half_written(path):
    before = files(path)
    with pytest.raises(TypeError):
        results.append(path, [SECOND, {"x": object()}])
    assert files(path) == before


def test_a_full_disk(path):
    """A limit on the size of files stands for it: the operating system stops the write in the middle."""
    before = files(path)
    script = f"""
import resource
from pathlib import Path
from jsnn.runs import records, results
from jsnn.core.errors import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    results.append(Path({str(path)!r}), [{{"x": "x" * 2000}}])
except InputError as error:
    print(error)
"""
    root = str(Path(results.__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout, done.stderr) == (f"cannot write {path}: File too large; choose another --out\n", "")
    assert files(path) == before


def test_what_a_killed_write_left_behind_does_no_harm(path):
    for name in (f".{path.name}.0123{UNFINISHED}", ".results.jsonl.part"):
        (path.parent / name).write_bytes(b'{"half')
    assert results.read(path) == [FIRST]
    results.append(path, [SECOND])
    assert results.read(path) == [FIRST, SECOND]
    sweep(path.parent)  # as a run does at its start
    assert sorted(files(path)) == [".results.jsonl.part", "results.jsonl"]


def test_a_reader_never_sees_half_a_write(path):
    lengths, records = [], [{"n": n, "text": "x" * 20_000} for n in range(30)]
    writer = threading.Thread(target=lambda: [results.append(path, [r]) for r in records])
    writer.start()
    while writer.is_alive():
        seen = results.read(path)
        assert seen == [FIRST, *records][: len(seen)]
        lengths.append(len(seen))
    writer.join()
    assert results.read(path) == [FIRST, *records]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("line", [b'{"a": 1', b"3", b"[1]", b"null", b"", b"\xff\xfe", b"{'a': 1}"])
def test_a_line_that_is_no_record_is_named(line, path):
    with path.open("ab") as file:
        file.write(line + b"\n" + json.dumps(SECOND).encode() + b"\n")
    with pytest.raises(InputError) as caught:
        results.read(path)
    assert str(caught.value) == (
        f"{path}:2: not a JSON object; move results.jsonl away, and --resume writes it again from the checkpoints"
    )


def test_a_directory_in_its_place(tmp_path):
    (tmp_path / "results.jsonl").mkdir()
    for use in (results.read, lambda path: results.append(path, [FIRST])):
        with pytest.raises(InputError, match="cannot read .*: Is a directory"):
            use(tmp_path / "results.jsonl")


def test_below_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot write .*file/results.jsonl: .*; choose another --out"):
        results.write_whole(tmp_path / "file" / "results.jsonl", b"")


def test_a_changed_line_is_refused(path):
    """Every digit, letter and sign of it counts; spaces do not."""
    whole = path.read_bytes()
    for i in range(len(whole) - 1):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with contextlib.suppress(InputError):
            assert results.read(path) == [FIRST]
    path.write_bytes(whole.replace(b"0.1", b"0.2"))
    with pytest.raises(InputError, match="results.jsonl:1: it is not as it was written: its checksum does not hold"):
        results.read(path)


def test_infinite_numbers_come_back_and_what_is_no_number_is_null(path):
    record = {"overrides": {"rule.w_max": math.inf, "x": -math.inf}, "a": [math.nan, (1, 2)], "float": "inf"}
    results.write(path, [record])
    text = path.read_text()
    json.loads(text, parse_constant=pytest.fail)
    assert results.read(path) == [record | {"a": [None, [1, 2]]}]


def test_the_commit_is_of_the_repository_that_tracks_the_files(tmp_path):
    """Not of one that the package is installed into; and it says whether its files were changed."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    package = tmp_path / "package"
    package.mkdir()
    for name in ("package/__init__.py", "other.txt"):
        (tmp_path / name).write_text("")
    assert records.git_commit(package) is None
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "other.txt"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    assert records.git_commit(package) is None  # as in a virtual environment of a repository
    subprocess.run([*git, "add", "package"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    commit = records.git_commit(package)
    assert re.fullmatch("[0-9a-f]{12}", commit)
    (tmp_path / "other.txt").write_text("changed")
    assert records.git_commit(package) == commit
    (package / "__init__.py").write_text("changed")
    assert records.git_commit(package) == f"{commit}-dirty"
