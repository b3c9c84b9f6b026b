"""Change the package in random places, one at a time in a copy, and print the changes that no test notices.

cosmic-ray makes the changes; its dependencies are not this project's, so it needs a folder of its own:

    uv pip install --target /tmp/cosmic-ray cosmic-ray
    PYTHONPATH=/tmp/cosmic-ray python tests/mutants.py evaluation stages/evaluate.py --count 60 --seed 0

A survivor is a missing assertion, or a change that changes nothing.
"""

import argparse
import difflib
import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "autoencoders"
ROOMS = ("stages", "evaluation", "training", "data/splits.py", "tracking")
TOO_EASY = ("BitOr", "Variable", "ExceptionReplacer", "RemoveDecorator")  # most fail on import: `|` is in types
SECONDS = 900  # after which a mutant counts as killed: it may never end
FAST = "not cluster and not faults and not image"
IN_A_COPY = "not installed_package"  # what is installed is no copy


class Mutant(NamedTuple):
    file: Path
    operator: str
    occurrence: int


def candidates(file: Path) -> Iterator[tuple[tuple[int, int], Mutant]]:
    """Yield all mutants of a file, each after its place."""
    nodes = list(ast_nodes(get_ast(file.read_text(encoding="utf-8"))))
    for name in operator_names():
        if not any(word in name for word in TOO_EASY):
            operator = get_operator(name)()
            places = [start for node in nodes for start, _ in operator.mutation_positions(node)]
            yield from ((place, Mutant(file, name, i)) for i, place in enumerate(places))


def draw(paths: list[str], count: int, seed: int) -> list[Mutant]:
    """Draw places, and a mutant of each: else operators with many variants would be most of them."""
    by_place = defaultdict(list)
    for path in paths:
        for file in sorted((PACKAGE / path).rglob("*.py")) or [PACKAGE / path]:
            for place, mutant in candidates(file):
                by_place[file, place].append(mutant)
    chance = random.Random(seed)
    return [chance.choice(by_place[place]) for place in chance.sample(list(by_place), min(count, len(by_place)))]


def tests_of(file: Path) -> list[str]:
    """Return the tests of the file's room, those named after it, and those of stages and their numbers."""
    room = file.relative_to(PACKAGE).parts[0]
    named = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob(f"test_*{file.stem}*.py")]
    return list(dict.fromkeys([*named, f"tests/{room}", "tests/evaluation", "tests/stages"]))


def killer(mutant: Mutant, code: str) -> str | None:
    """Return what pytest says of the first test that fails with the mutant; None where all pass."""
    with TemporaryDirectory() as folder:
        copy = shutil.copytree(PACKAGE, Path(folder) / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / mutant.file.relative_to(PACKAGE)).write_text(code, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-xq", "-m", FAST, "-k", IN_A_COPY, *tests_of(mutant.file)]
        environment = os.environ | {"PYTHONPATH": folder}
        try:
            run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return "no end"
        return (run.stdout + run.stderr).strip().splitlines()[-2] if run.returncode else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=ROOMS, help="files and folders of the package")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options, survivors = parser.parse_args(), 0
    for mutant in draw(options.paths, options.count, options.seed):
        before = mutant.file.read_text(encoding="utf-8")
        code = mutate_code(before, get_operator(mutant.operator)(), mutant.occurrence)
        failure = killer(mutant, code)
        survivors += failure is None
        print(f"{mutant.file.relative_to(PACKAGE)}: {f'killed by {failure}' if failure else 'SURVIVES'}")
        print("\n".join(list(difflib.unified_diff(before.splitlines(), code.splitlines(), n=0))[2:]), flush=True)
    print(f"{survivors} survive")


if __name__ == "__main__":
    main()
