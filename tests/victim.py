"""A process that runs experiments/matrix.py again and again, and has it killed: what tests/test_survival.py talks to.

It imports everything once and forks a child for each run, which saves the seconds that starting JAX takes. One line of
JSON on stdin asks for a run:

    {"argv": [...], "log": PATH, "out": DIR, "signal": 9, "event": N, "after": SECONDS, "file_limit": BYTES}

and one on stdout answers: {"code": exit code, or minus the signal, "events": how many, "seconds": ...}. The child gets
the signal before its Nth change to a file in DIR, or SECONDS after its start.
"""

import contextlib
import io
import json
import os
import pathlib
import resource
import signal
import sys
import threading
import time


@contextlib.contextmanager
def tripwire(out, callback):
    """Call `callback(event, path)` before every change that Python makes to a file in `out`, one at a time."""
    out, lock, busy = os.path.abspath(out), threading.Lock(), threading.local()
    saved = []

    def wrap(module, name, touches):
        function = getattr(module, name)

        def wrapped(*args, **kwargs):
            path = args[0] if args else kwargs.get("path", "")
            if not getattr(busy, "now", False) and touches(args, kwargs):
                inside = isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(out + os.sep)
                if inside or kwargs.get("dir_fd") is not None or name == "fsync":  # shutil.rmtree, a file's contents
                    with lock:
                        busy.now = True
                        try:
                            callback(name, str(path))
                        finally:
                            busy.now = False
            return function(*args, **kwargs)

        saved.append((module, name, function))
        setattr(module, name, wrapped)

    def writes(args, kwargs):
        mode = args[1] if len(args) > 1 else kwargs.get("mode", "r")
        return isinstance(mode, str) and any(c in mode for c in "wax+")

    for name in ("rename", "replace", "mkdir", "rmdir", "unlink", "remove", "fsync"):
        wrap(os, name, lambda args, kwargs: True)
    wrap(io, "open", writes)
    try:
        yield
    finally:
        for module, name, function in saved:
            setattr(module, name, function)


def child(request, events):
    """Run the command as `python experiments/matrix.py` does; never returns."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    err = os.open(request["log"] + ".err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(err, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    if request.get("file_limit") is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_limit"], resource.RLIM_INFINITY))

    def callback(event, path):
        seen = int.from_bytes(os.pread(events, 8, 0), "little") + 1
        os.pwrite(events, seen.to_bytes(8, "little"), 0)
        if seen == request.get("event"):
            os.kill(os.getpid(), request.get("signal", signal.SIGKILL))

    code = 0
    sys.argv = ["matrix.py", *request["argv"]]
    with tripwire(request["out"], callback):
        try:
            command(main, "; go on with --resume")
        except SystemExit as error:
            code = error.code or 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve():
    """Answer requests until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        events = os.memfd_create("events")
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            child(request, events)
        after = request.get("after")
        code = None
        while code is None:
            done, status = os.waitpid(pid, os.WNOHANG)
            seconds = time.monotonic() - began
            if done:
                code = os.waitstatus_to_exitcode(status)
            elif after is not None and seconds >= after:
                os.kill(pid, request.get("signal", signal.SIGKILL))
                after = None
            else:
                time.sleep(0.005)
        answer = {"code": code, "events": int.from_bytes(os.pread(events, 8, 0), "little"), "seconds": seconds}
        os.close(events)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    root = pathlib.Path(__file__).parent.parent
    sys.path[:0] = [str(root / "experiments"), str(root)]
    import rich.live
    import rich.progress
    import rich.table  # noqa: F401
    from console import command
    from matrix import main

    import jsnn.data.excerpt
    import jsnn.runs  # noqa: F401

    print("ready", flush=True)
    serve()
