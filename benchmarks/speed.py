"""Measure how fast the project trains and evaluates, beside other projects and the limit of the hardware.

    python benchmarks/speed.py

See benchmarks/README.md for what is measured, how long it takes and what to expect. Run it on an idle machine.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from common import BENCHMARKS, CACHE, ROOT, command_line, load_images, machine, out_file, read_csv, some_of, write_csv
from peers.clock import Measurement
from speed_contenders import CONTENDERS, OWN, SHORT_EPOCHS, Contender
from speed_tables import tables_of

from autoencoders.errors import UserError
from autoencoders.runtime.process import exit_code

COLUMNS = ("part", *Measurement._fields, "threads", "cores", "processor", "torch")
LARGER_RUNS = 2
Start = Callable[..., list[Measurement]]
"""Called with a script's name and its options, as `start("speed_own.py", measure="step", repeats=5)`."""


def race(start: Start, repeats: int, contenders: Sequence[Contender] = CONTENDERS) -> list[Measurement]:
    """Return the rows of interleaved runs: A B C A B C …; a peer that does not run is warned of, and left out."""
    rows: list[Measurement] = []
    failed: set[str] = set()
    for turn in range(1, repeats + 1):
        for contender in contenders:
            name = contender.name
            if name in failed:
                continue
            print(f"  round {turn}: {name}", file=sys.stderr, flush=True)
            try:
                rows += start(contender.script, **contender.options_of(turn))
            except UserError as error:
                if name.startswith(OWN):
                    raise
                print(f"  {name} is left out: {error}", file=sys.stderr)
                failed.add(name)
    return [row for row in rows if row.subject not in failed]


def own(measure: str, start: Start, repeats: int) -> list[Measurement]:
    """Return the rows of one measure of this project's own."""
    return start("speed_own.py", measure=measure, repeats=repeats)


def memory(start: Start, repeats: int) -> list[Measurement]:
    """Return the memory of the command, and the speed on a set larger than memory."""
    ask = partial(start, "speed_memory.py")
    rows = ask(measure="command")
    try:
        for turn in range(1, min(repeats, LARGER_RUNS) + 1):
            rows += ask(measure="larger", round=turn)
    except UserError as error:
        print(f"  larger than memory is left out: {error}", file=sys.stderr)
    return rows


PARTS: dict[str, Callable[[Start, int], list[Measurement]]] = {
    "peers": race,
    "step": partial(own, "step"),
    "scaling": partial(own, "scaling"),
    "memory": memory,
    "evaluation": partial(own, "evaluation"),
}


def run_script(script: str, *, threads: int, quick: bool = False, **options: Any) -> list[Measurement]:
    """Run a script of this folder in a process of its own and return the rows that it prints.

    Raises `UserError` with the end of what the script said where it fails.
    """
    path = [str(BENCHMARKS), str(ROOT / "src"), str(CACHE / "peers")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(path)}
    environment.pop("GOMP_SPINCOUNT", None)  # this project's scripts set it again, as its command does; peers do not
    options |= {"quick": True, "epochs": SHORT_EPOCHS} if quick else {"quick": False}
    command = [sys.executable, str(BENCHMARKS / script), json.dumps(options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"{Path(script).name} ended with {done.returncode}: {lines[-1]}")
    return [Measurement(*row) for row in json.loads(done.stdout.splitlines()[-1])]


def benchmark(parts: Iterable[str], start: Start, repeats: int, threads: int, out: Path) -> None:
    """Measure `parts`, keeping each in the CSV file as soon as it is done in place of the last that was measured."""
    for part in parts:
        print(f"measuring: {part} …", file=sys.stderr, flush=True)
        new = pd.DataFrame(PARTS[part](start, repeats), columns=list(Measurement._fields))
        new = new.assign(part=part, **machine(threads))[list(COLUMNS)]
        kept = read(out)
        rows = pd.concat([kept[kept["part"] != part], new]) if len(kept) else new
        rows = rows.sort_values("part", key=lambda names: names.map(list(PARTS).index), kind="stable")
        write_csv(out, rows, float_format="%.6g")


def read(path: Path) -> pd.DataFrame:
    """Return the rows of this benchmark's file, none where there is no such file."""
    return read_csv(path, COLUMNS, dtype={"torch": str})


def main() -> None:
    """Run the command line."""
    parser = command_line(__doc__, "speed")
    parser.add_argument("--only", metavar="A,B", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each measurement (default: 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--show", action="store_true", help="measure nothing, print the tables of the CSV file")
    options = parser.parse_args()
    out, parts = out_file(options, "speed"), some_of(options.only, list(PARTS))
    if not options.show:
        load_images("mnist")  # downloads and prepares them before anything is measured
        start = partial(run_script, threads=options.threads, quick=options.quick)
        benchmark(parts, start, 1 if options.quick else options.repeats, options.threads, out)
    rows = read(out)
    for part in parts:
        if part in set(rows["part"]):
            print(f"### {part.capitalize()}\n\n{tables_of(part, rows[rows['part'] == part])}\n")


if __name__ == "__main__":
    sys.exit(exit_code(main))
