"""Measure the CPU seconds of every stage of the pipeline, and how many of them its start takes.

    python benchmarks/startup.py

See benchmarks/README.md for what is measured.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml
from common import BENCHMARKS, command_line, format_runs, machine, markdown, out_file, read_csv, write_csv
from startup_project import small_project

COLUMNS = ("command", "round", "startup", "all", "threads", "cores", "processor", "torch")
MODELS = {
    "pca": {"kind": "pca", "latent": 2},
    "ae": {"kind": "autoencoder", "latent": 2, "hidden": [8]},
    "vae": {"kind": "vae", "latent": 2, "hidden": [8]},
}
"""Of two dimensions and all kinds, so that no stage leaves anything out."""
COMMANDS = {
    "--help": "--help",
    "download, MNIST": "download --params mnist.yaml --out mnist/raw",
    "prepare, MNIST": "prepare --params mnist.yaml --raw mnist/raw --out mnist/prepared --card mnist/card",
}
"""What is measured beside the stages of the small project, whose images are files."""


def measure(project: Path, repeats: int, threads: int) -> pd.DataFrame:
    """Run everything in the new folder `project` once unmeasured and `repeats` times measured; 0: once, measured."""
    small_project(project, MODELS)
    (project / "mnist.yaml").write_text(yaml.safe_dump({"data": {"name": "mnist"}, "models": MODELS}), encoding="utf-8")
    command = project / "bin" / "autoencoders"
    command.parent.mkdir()
    clock = BENCHMARKS / "startup_clock.py"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{clock}" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    rounds = []
    for turn in range(repeats + 1):
        print(f"round {turn} of {repeats}", file=sys.stderr, flush=True)
        rounds.append(_round(project, threads).assign(round=turn, **machine(threads)))
    return pd.concat(rounds[1:] or rounds)[list(COLUMNS)]


def _round(project: Path, threads: int) -> pd.DataFrame:
    clock = project / "clock"
    clock.unlink(missing_ok=True)
    path = os.pathsep.join([str(project / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "STARTUP_CLOCK": str(clock), "PATH": path}
    environment.pop("MLFLOW_TRACKING_URI", None)
    for name, arguments in COMMANDS.items():
        _run(["autoencoders", *arguments.split()], project, {**environment, "STARTUP_STAGE": name})
    repro, idle = (_run(["dvc", "repro", *option], project, environment) for option in (["--force"], []))
    rows = pd.read_json(clock, lines=True, orient="records")
    stages = rows[~rows["command"].isin(list(COMMANDS))]
    own = repro - stages["all"].sum() - stages["clock"].sum()
    dvc = pd.DataFrame({"command": ["dvc repro itself", "dvc repro, nothing to do"], "all": [own, idle]})
    return pd.concat([rows, dvc])


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Return the CPU seconds of a command and all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:] or done.stdout[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(rows: pd.DataFrame) -> str:
    """Return a Markdown table of medians, a line a command."""
    lines = []
    for name, runs in rows.groupby("command", sort=False):
        startup = "" if runs["startup"].isna().all() else f"{runs['startup'].median():.2f}"
        lines.append([str(name), startup, format_runs(runs["all"])])
    return markdown(["CPU seconds", "start-up", "all"], lines)


def main() -> None:
    """Run the command line."""
    parser = command_line(__doc__, "startup")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="measured rounds (default: 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--show", action="store_true", help="measure nothing, print the table of the CSV file")
    options = parser.parse_args()
    out = out_file(options, "startup")
    if not options.show:
        with tempfile.TemporaryDirectory() as scratch:
            rows = measure(Path(scratch) / "project", 0 if options.quick else options.repeats, options.threads)
        write_csv(out, rows.round({"startup": 4, "all": 4}))
    print(table(read_csv(out, COLUMNS, dtype={"torch": str})))


if __name__ == "__main__":
    main()
