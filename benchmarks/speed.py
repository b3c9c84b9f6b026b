"""Measure how fast the project trains and evaluates, beside its peers and beside what the hardware allows.

    python benchmarks/speed.py

See benchmarks/README.md for what is measured, how long it takes and what to expect. Run it on an idle machine.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from math import nan
from pathlib import Path
from typing import Any

from quality import count, some_of
from speed_child import Raw
from speed_contenders import installed, race
from speed_memory import LARGER_RUNS, LIMIT_MB
from speed_rows import Row, processor, read, write
from speed_tables import TABLES

from autoencoders.errors import UserError

HERE = Path(__file__).resolve().parent
WAITING = {"GOMP_SPINCOUNT": "3000"}
"""How this project's command lets threads wait, for this project's runs; the peers' wait as torch lets them."""
Start = Callable[..., list[Raw]]
"""Called with a script's name and its options, as `start("speed_step.py", repeats=5)`: returns its rows."""


def peers(start: Start, repeats: int) -> list[Raw]:
    """Speed and time to quality, beside others."""
    return race(start, repeats)


def step(start: Start, repeats: int) -> list[Raw]:
    """Training steps, their matrix products, and what takes the rest."""
    return start("speed_step.py", repeats=repeats)


def scaling(start: Start, repeats: int) -> list[Raw]:
    """Seconds of an epoch against the number of images and the latent dimensions."""
    return start("speed_scaling.py", repeats=repeats)


def memory(start: Start, repeats: int) -> list[Raw]:
    """Memory of the command and over the epochs; speed on a set larger than memory, with and without a limit."""
    ask = partial(start, "speed_memory.py")
    rows = ask(question="command") + ask(question="epochs")
    try:
        ask(question="write")
        for turn in range(1, min(repeats, LARGER_RUNS) + 1):
            rows += ask(question="larger", round=turn) + ask(question="larger", round=turn, limit_mb=LIMIT_MB)
    except UserError as error:
        rows.append(Raw("larger than memory", f"did not run: {error}", 1, nan, "-"))
    finally:
        ask(question="remove")
    return rows


def evaluation(start: Start, repeats: int) -> list[Raw]:
    """Seconds of evaluating a trained VAE."""
    return start("speed_evaluation.py", repeats=repeats)


PARTS: dict[str, Callable[[Start, int], list[Raw]]] = {
    "peers": peers,
    "step": step,
    "scaling": scaling,
    "memory": memory,
    "evaluation": evaluation,
}


def started(script: str, *, threads: int, data: Path, package: str | None = None, **options: Any) -> list[Raw]:
    """Run a script of this folder in a process of its own and return the rows that it prints.

    `package` is one of `PACKAGES`, installed first where it is not. Raises `UserError` with the end of what the script
    said where it fails.
    """
    extra = [str(installed(package, data / "peers"))] if package else []
    path = [str(HERE), str(HERE.parent / "src"), *extra, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if not script.startswith("peers/"):
        environment = {**WAITING, **environment}
    command = [sys.executable, str(HERE / script), json.dumps({"data": str(data), **options})]
    done = subprocess.run(
        command, env={**environment, "PYTHONPATH": os.pathsep.join(path)}, capture_output=True, text=True
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"{Path(script).name} ended with {done.returncode}: {said[-1]}")
    return [Raw(*row) for row in json.loads(done.stdout.splitlines()[-1])]


def benchmark(parts: Iterable[str], start: Start, repeats: int, threads: int, out: Path) -> None:
    """Measure `parts`, keeping each in the CSV file as soon as it is done in place of the last that was measured."""
    for part in parts:
        print(f"measuring: {part} …", file=sys.stderr, flush=True)
        rows = [
            Row(part, *raw, threads, os.cpu_count() or 1, processor(), version("torch"))
            for raw in PARTS[part](start, repeats)
        ]
        write(out, sorted([*(row for row in read(out) if row.part != part), *rows], key=_order))


def _order(row: Row) -> int:
    return list(PARTS).index(row.part)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 2 on a user's mistake, 130 on an interruption."""
    options = _parser().parse_args(arguments)
    try:
        if not options.show:
            start = partial(started, threads=options.threads, data=options.data)
            start("speed_child.py", mirror=options.mirror)  # downloads and prepares
            benchmark(options.only, start, options.repeats, options.threads, options.out)
        rows = read(options.out)
        for part in options.only:
            if any(row.part == part for row in rows):
                print(f"### {part.capitalize()}\n\n{TABLES[part](rows)}\n")
        if options.figure:
            from speed_figure import draw

            draw(rows, options.figure)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the parts that were measured are kept", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    known = tuple(PARTS)
    parser.add_argument("--only", type=partial(some_of, known), default=known, metavar="A,B", help=", ".join(known))
    parser.add_argument("--repeats", type=count, default=5, metavar="N", help="runs of everything (default: 5)")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=count, default=cores, metavar="N", help="default: one a core")
    parser.add_argument("--show", action="store_true", help="print the tables of what the CSV file holds")
    parser.add_argument(
        "--mirror", metavar="DIR", help="folder or URL to look for MNIST/raw/… in first (default: $AUTOENCODERS_MIRROR)"
    )
    data = HERE.parent / ".cache" / "benchmarks"
    parser.add_argument(
        "--data", type=Path, default=data, metavar="DIR", help="where the images are kept (default: .cache/benchmarks)"
    )
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw what the CSV file holds to this file")
    parser.add_argument(
        "--out", type=Path, default=HERE / "speed.csv", metavar="FILE", help="default: benchmarks/speed.csv"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
