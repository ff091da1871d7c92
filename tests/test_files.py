"""Files are written whole, and a directory has one writer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jsnn.core import files
from jsnn.core.errors import InputError

ROOT = Path(__file__).parent.parent


def test_no_link_is_followed_and_nothing_is_left(tmp_path):
    mine, path = tmp_path / "mine", tmp_path / "config.json"
    mine.write_text("mine")
    (tmp_path / ".config.json.unfinished").symlink_to(mine)
    path.symlink_to(mine)
    files.write(path, b"new")
    assert mine.read_text() == "mine" and path.read_text() == "new" and not path.is_symlink()
    files.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "mine"]


def test_a_guessed_name_is_refused(tmp_path, monkeypatch):
    """The name of an unfinished file is random; were it guessed, nothing would be overwritten."""
    mine = tmp_path / "mine"
    mine.write_text("mine")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "guessed")
    (tmp_path / ".x.guessed.unfinished").symlink_to(mine)
    with pytest.raises(FileExistsError):
        files.write(tmp_path / "x", b"new")
    assert mine.read_text() == "mine" and not (tmp_path / "x").exists()


def test_what_fails_leaves_what_was(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_sweep_leaves_what_is_young(tmp_path):
    (tmp_path / ".x.0123.unfinished").write_text("half")
    files.sweep(tmp_path, older=3600.0)
    assert len(list(tmp_path.iterdir())) == 1
    files.sweep(tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_lock_goes_with_its_holder(tmp_path):
    out = tmp_path / "new" / "out"
    with files.locked(out, pytest.fail) as lock:
        lock.check()
        with pytest.raises(InputError, match=f"is being written by process {os.getpid()} on "):
            with files.locked(out, pytest.fail):
                pass
        lock.check()
    assert not any(out.iterdir())
    with files.locked(out, pytest.fail):
        (out / files.LOCK).unlink()
        with files.locked(out, pytest.fail):  # another's
            with pytest.raises(InputError, match="removed or replaced"):
                lock.check()
        (out / files.LOCK).write_text("another's")
    assert (out / files.LOCK).read_text() == "another's"


def test_a_lock_dies_with_its_process(tmp_path):
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from jsnn.core import files
with files.locked(Path({str(tmp_path)!r}), print):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (tmp_path / files.LOCK).exists()
    with files.locked(tmp_path, pytest.fail):
        pass


@pytest.mark.parametrize("what", ["link", "broken link", "directory", "pipe", "words"])
def test_a_lock_that_is_something_else(tmp_path, what):
    out, mine, path = tmp_path / "out", tmp_path / "mine", tmp_path / "out" / files.LOCK
    out.mkdir()
    mine.write_text("mine")
    {
        "link": lambda: path.symlink_to(mine),
        "broken link": lambda: path.symlink_to(tmp_path / "none"),
        "directory": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "words": lambda: path.write_bytes(b"\x1b[31m" + 5000 * b"x"),
    }[what]()
    if what == "words":
        descriptor = os.open(path, os.O_RDWR)
        files.fcntl.flock(descriptor, files.fcntl.LOCK_EX)
        said = f"{out} is being written by another process: wait until"
    else:
        descriptor, said = None, f"{path} is a link, a directory or a device: it should be a plain file"
    with pytest.raises(InputError) as error, files.locked(out, pytest.fail):
        pass
    assert str(error.value).startswith(said) and "\x1b" not in str(error.value)
    assert mine.read_text() == "mine" and not (tmp_path / "none").exists() and os.path.lexists(path)
    if descriptor is not None:
        os.close(descriptor)


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def fail(descriptor, how):
        raise OSError(files.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", fail)
    with files.locked(tmp_path, pytest.fail):  # by the other kind
        pass
    monkeypatch.setattr(files.fcntl, "lockf", fail)
    warnings = []
    with files.locked(tmp_path, warnings.append) as lock:
        lock.check()
    assert warnings == [f"{tmp_path} is on a file system without locks: see that no other process writes there"]


def test_writable_is_found_out_before(tmp_path):
    (tmp_path / "file").write_text("mine")
    files.check_writable(tmp_path)
    files.check_writable(tmp_path / "a" / "b")
    for place in (tmp_path / "file", tmp_path / "file" / "figures", Path("/proc")):
        with pytest.raises(InputError, match=f"cannot write to {place}: "):
            files.check_writable(place)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
