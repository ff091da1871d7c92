"""Kill processes of distributed jobs, again and again; not part of the test suite.

  python tests/stress_distributed.py --kills 40 --seed 1

In each round a job of two processes is started (or gone on with), a random one of them is killed at a random moment,
its start included, by SIGKILL, SIGTERM, SIGINT, or SIGSTOP and then SIGKILL. The other one has 60 s to end by exit code
3 and one line. A job that is let run to its end has to leave the bytes that an undisturbed job leaves.
"""

import argparse
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
STUDY = """
study = "stress"
[data]
name = "mnist_excerpt"
n_train = 96
n_assign = 16
n_test = 16
[run]
n_steps = 6
dt = 10.0
engine = "dense"
curve_points = 24
checkpoint_seconds = 0.0
[network]
n_neurons = 4
[sweep]
"run.seed" = [0, 1]
"""
HOW = {"KILL": [signal.SIGKILL], "TERM": [signal.SIGTERM], "INT": [signal.SIGINT], "STOP": [signal.SIGSTOP]}
CODES = {"KILL": -9, "STOP": -9, "TERM": 143, "INT": 130}


class Job:
    """Two processes of one job."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as s:
            s.bind(("", 0))
            port = s.getsockname()[1]
        environment = os.environ | {
            "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(directory.parent / "xla"),
            "GIT_DIR": str(directory.parent),
        }
        command = [sys.executable, str(ROOT / "experiments" / "matrix.py"), str(directory.parent / "study.toml")]
        command += ["--out", str(directory), "--no-figures", "--no-clock", "--resume"]
        self.errors = [tempfile.TemporaryFile("w+") for _ in range(2)]
        self.processes = [
            subprocess.Popen(
                [*command, "--join", f"localhost:{port},2,{i}"],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=error,
            )
            for i, error in enumerate(self.errors)
        ]

    def end(self, seconds: float | None) -> list[int | None]:
        """Exit codes once both have ended, or None for what had to be killed after so many seconds."""
        deadline = None if seconds is None else time.monotonic() + seconds
        codes: list[int | None] = []
        for process in self.processes:
            try:
                left = None if deadline is None else max(deadline - time.monotonic(), 0.1)
                codes.append(process.wait(left))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                codes.append(None)
        return codes

    def said(self, i: int) -> str:
        """What a process has written to stderr, without the warning that a run is new."""
        self.errors[i].seek(0)
        return self.errors[i].read()


def kill(job: Job, rng: random.Random, longest: float) -> tuple[str, bool, bool]:
    """Kill one of the job's processes: how, whether it was still running, whether all was as it should be."""
    how, victim = rng.choice(list(HOW)), rng.randrange(2)
    after = rng.uniform(0.0, longest)
    time.sleep(after)
    running = all(process.poll() is None for process in job.processes)
    process = job.processes[victim]
    for number in HOW[how]:
        process.send_signal(number)
    began = time.monotonic()
    if how == "STOP":
        while job.processes[1 - victim].poll() is None and time.monotonic() - began < 60:
            time.sleep(0.1)
        process.kill()
    codes = job.end(60)
    seconds, lines = time.monotonic() - began, [job.said(i) for i in range(2)]
    allowed = {CODES[how], -getattr(signal, f"SIG{how}")} if after < 1.0 else {CODES[how]}  # Python was starting
    survivor, line = codes[1 - victim], lines[1 - victim]
    good = not running or 0 in codes or (
        codes[victim] in allowed and survivor == 3 and re.fullmatch(r"error: .*; start all with --resume\n", line)
    )
    print(f"{how} of {victim} after {after:.1f} s: {codes} in {seconds:.1f} s: {line.strip()}", flush=True)
    if not good:
        print(f"WRONG: {codes} {lines}", flush=True)
    return how, running, bool(good)


def main() -> None:
    """Kill, go on, compare, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finish", type=int, default=5, help="after how many kills a job is let run to its end")
    arguments = parser.parse_args()
    rng, counts, wrong, same, runs = random.Random(arguments.seed), Counter(), 0, 0, 0
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        (folder / "study.toml").write_text(STUDY)
        Job(folder / "first").end(None)  # compiles
        began = time.monotonic()
        assert Job(folder / "reference").end(None) == [0, 0]
        longest = time.monotonic() - began
        expected = (folder / "reference" / "results.jsonl").read_bytes()
        print(f"an undisturbed job: {longest:.0f} s", flush=True)
        while sum(counts.values()) < arguments.kills:
            out = folder / f"run-{runs}"
            for _ in range(min(arguments.finish, arguments.kills - sum(counts.values()))):
                how, running, good = kill(Job(out), rng, longest)
                counts[how] += running
                wrong += not good
            codes = Job(out).end(None)
            runs += 1
            same += codes == [0, 0] and (out / "results.jsonl").read_bytes() == expected
    total = sum(counts.values())
    print(f"{total} kills {dict(counts)}: {wrong} wrong; {same} of {runs} jobs gone on with: the same bytes")
    sys.exit(bool(wrong) or same != runs)


if __name__ == "__main__":
    main()
