"""What does starting cost? CPU seconds of every stage of the pipeline, apart from its work.

    python benchmarks/startup.py

See benchmarks/README.md for what is measured.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from quality import count
from speed_rows import processor, summary, table, write_csv
from startup_clock import CPU, PHASES, WALL
from startup_project import small_project

HERE = Path(__file__).resolve().parent
MODELS = {
    "pca": {"kind": "pca", "latent": 2},
    "ae": {"kind": "autoencoder", "latent": 2, "hidden": [8]},
    "vae": {"kind": "vae", "latent": 2, "hidden": [8]},
}
"""Of two dimensions and all kinds, so that no stage leaves anything out."""
DVC, IDLE = "dvc repro itself", "dvc repro, nothing to do"
COMMANDS = {
    "--help": "--help",
    "download, MNIST": "download --params mnist.yaml --out mnist/raw",
    "prepare, MNIST": "prepare --params mnist.yaml --raw mnist/raw --out mnist/prepared --card mnist/card",
}
"""What is measured beside the stages of the small project, whose images are files."""


class Row(NamedTuple):
    """One measured time."""

    command: str
    phase: str
    round: int
    cpu: float
    """Seconds."""
    wall: float
    """Seconds."""
    threads: int
    cores: int
    processor: str
    torch: str


Measured = Iterator[tuple[str, Mapping[str, Sequence[float]]]]
"""Command, and phase → CPU seconds and seconds."""


def measure(project: Path, repeats: int, threads: int) -> list[Row]:
    """Run everything in the folder `project` once unmeasured and `repeats` times measured."""
    small_project(project, MODELS)
    (project / "mnist.yaml").write_text(yaml.safe_dump({"data": {"name": "mnist"}, "models": MODELS}), encoding="utf-8")
    command = project / "bin" / "autoencoders"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "startup_clock.py"}" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    made_with = (threads, os.cpu_count() or 1, processor(), version("torch"))
    rows: list[Row] = []
    for turn in range(repeats + 1):
        print(f"round {turn} of {repeats}" if turn else "once, unmeasured", file=sys.stderr, flush=True)
        for name, phases in _round(project, threads):
            if turn:
                rows += [Row(name, phase, turn, took[CPU], took[WALL], *made_with) for phase, took in phases.items()]
    return rows


def _round(project: Path, threads: int) -> Measured:
    clock = project / "clock"
    clock.unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "STARTUP_CLOCK": str(clock)}
    environment["PATH"] = os.pathsep.join([str(project / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment.pop("MLFLOW_TRACKING_URI", None)
    for name, arguments in COMMANDS.items():
        _run(["autoencoders", *arguments.split()], project, {**environment, "STARTUP_STAGE": name})
    before = len(_read(clock))
    whole = _run(["dvc", "repro", "--force"], project, environment)
    idle = _run(["dvc", "repro"], project, environment)
    lines = _read(clock)
    stages = lines[before:]
    yield from ((line.pop("stage"), _phases(line)) for line in lines)
    own = sum(line["all"][CPU] + line["own"] for line in stages)
    yield DVC, {"all": (whole - own, 0.0)}
    yield IDLE, {"all": (idle, 0.0)}


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Return the CPU seconds of a command and all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:] or done.stdout[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _read(clock: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in clock.read_text(encoding="utf-8").splitlines()]


def _phases(line: Mapping[str, Any]) -> dict[str, Sequence[float]]:
    """Return the phases that the clock tells, and as `work` the CPU seconds that are left."""
    phases = {phase: line[phase] for phase in (*PHASES, "all")}
    return {**phases, "work": (line["all"][CPU] - sum(line[phase][CPU] for phase in PHASES), 0.0)}


def markdown(rows: Sequence[Row]) -> str:
    """Return a Markdown table of medians, a line a command, and the sum of CPU seconds that are no work."""
    header = ["", "imports", "s", "MLflow opens", "s", "records", "work", "all CPU-s", "s"]
    lines: list[list[str]] = []
    for name in dict.fromkeys(row.command for row in rows):
        cpu, wall = (_values(rows, name, of) for of in (CPU, WALL))
        if set(cpu) == {"all"}:
            lines.append([name, *[""] * 6, _shown(cpu["all"]), ""])
            continue
        imports = [[a + b for a, b in zip(of["interpreter"], of["imports"], strict=True)] for of in (cpu, wall)]
        cells = [*imports, cpu["opening"], wall["opening"], cpu["recording"], cpu["work"]]
        lines.append([name, *map(_median, cells), _shown(cpu["all"]), _median(wall["all"])])
    return table(header, lines)


def _values(rows: Iterable[Row], name: str, of: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.command == name:
            found.setdefault(row.phase, []).append((row.cpu, row.wall)[of])
    return found


def _median(values: Sequence[float]) -> str:
    value = statistics.median(values)
    return f"{value:.2f}" if value >= 0.005 else ""


def _shown(values: Sequence[float]) -> str:
    of = summary(values)
    return f"{of.median:.2f} ± {100 * of.spread:.0f} %{'' if of.repeatable else ' (!)'}"


def write(path: Path, rows: Iterable[Row]) -> None:
    """Replace the CSV file as a whole."""
    write_csv(path, Row._fields, (row._replace(cpu=round(row.cpu, 4), wall=round(row.wall, 4)) for row in rows))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repeats", type=count, default=5, metavar="N", help="measured rounds (default: 5)")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=count, default=cores, metavar="N", help="default: one a core")
    parser.add_argument(
        "--out", type=Path, default=HERE / "startup.csv", metavar="FILE", help="default: benchmarks/startup.csv"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(Path(scratch) / "project", options.repeats, options.threads)
    write(options.out, rows)
    row = rows[0]
    print(f"{row.processor}, {row.cores} cores, {row.threads} threads, torch {row.torch}; medians of {options.repeats}")
    print(f"\n{markdown(rows)}\n\nRaw numbers: {options.out}")


if __name__ == "__main__":
    main()
