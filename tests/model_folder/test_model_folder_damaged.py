"""Whatever becomes of a model's files: it loads, or one line says what is wrong, soon and in little memory."""

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoencoders.model_folder import WEIGHTS

MUTANTS = 150
SECONDS, BYTES = 20, 500 * 10**6
"""A deadline for each load, far above what one takes, and what one may add to the memory of the process."""
LOAD_ALL = rf"""
import hashlib, json, pathlib, re, resource, signal, sys
import numpy, torch
from autoencoders import load_model
from autoencoders.errors import UserError
from autoencoders.model_folder.history import read_history
from autoencoders.model_folder import read_reference

def uses(folder):
    model = load_model(folder, "cpu")
    z = model.encode(torch.rand(3, *model.shape))
    assert model.decode(z).isfinite().all()
    return [model.name, read_reference(folder)["run_id"], len(read_history(folder))]

uses(pathlib.Path(sys.argv[1]))
here = int(re.search(r"VmData:[ \t]+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (here + {BYTES}, resource.RLIM_INFINITY))
for folder in sorted(pathlib.Path(sys.argv[2]).iterdir()):
    signal.alarm({SECONDS})
    try:
        told = uses(folder)
    except UserError as error:
        told = str(error)
    print(json.dumps([folder.name, told]))
"""

ODD: list[Any] = [
    None, True, 0, -1, 1, 10**9, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf"), "", "x", "\x1b[2J", "\0",
    "\ud800", "x" * 10**5, [], {}, [1] * 10**5, [[1]], {"a": {"b": []}},
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a value of JSON, with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *places(value[key])]]


def change(value: Any, chance: random.Random) -> None:
    """Change, drop, wrap, double or move something in a value of JSON."""
    holder, key = chance.choice(places(value))
    match chance.randrange(6):
        case 0:
            del holder[key]
        case 1 | 2:
            holder[key] = chance.choice(ODD)
        case 3:
            holder[key] = [holder[key]]
        case 4:
            holder[key] = holder[key] * 2 if isinstance(holder[key], int | float | list | str) else {"": holder[key]}
        case 5:
            holder[key] = chance.choice(places(value))[0]
            try:
                json.dumps(value)
            except ValueError:  # it holds itself
                holder[key] = 7


def mutated_text(content: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut, doubled, nested or followed by others."""
    at = chance.randrange(len(content) + 1)
    match chance.randrange(6):
        case 0 | 1:
            changed = bytearray(content)
            for _ in range(chance.choice([1, 1, 5])):
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            return bytes(changed)
        case 2:
            return content[:at]
        case 3:
            return content[:at] + content[at // 2 :]
        case 4:
            return content[:at] + chance.choice([b"[" * 10**5, b'{"a":' * 10**4, b"9" * 10**4]) + content[at:]
        case _:
            return content[:at] + chance.randbytes(20) + content[at:]


def mutated_json(content: bytes, chance: random.Random) -> bytes:
    value = json.loads(content)
    for _ in range(chance.choice([1, 1, 3])):
        change(value, chance)
    return json.dumps(value).encode()


def mutated_weights(content: bytes, chance: random.Random) -> bytes:
    """Another header, or other numbers, some of them not finite."""
    length = int.from_bytes(content[:8], "little")
    header, numbers = content[8 : 8 + length], bytearray(content[8 + length :])
    match chance.randrange(4):
        case 0:
            header = mutated_json(header, chance)
            return len(header).to_bytes(8, "little") + header + numbers
        case 1:
            return chance.randrange(2 ** chance.randrange(64)).to_bytes(8, "little") + content[8:]
        case 2:
            at = 4 * chance.randrange(len(numbers) // 4)
            numbers[at : at + 4] = chance.choice([b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\0\0\0\0"])
            return content[: 8 + length] + numbers
        case _:
            return mutated_text(content, chance)


KINDS: dict[str, list[Callable[[bytes, random.Random], bytes]]] = {
    "model.json": [mutated_json, mutated_json, mutated_text],
    "run.json": [mutated_json, mutated_text],
    "history.csv": [mutated_text],
    WEIGHTS: [mutated_weights],
}


def mutant(folder: Path, source: dict[str, bytes], chance: random.Random) -> None:
    """A model's folder with one of its files changed; changed weights mostly have the hash that model.json names."""
    files = dict(source)
    name = chance.choice(["model.json", "model.json", WEIGHTS, WEIGHTS, "run.json", "history.csv"])
    files[name] = chance.choice(KINDS[name])(files[name], chance)
    if name == WEIGHTS and chance.random() < 0.8:
        described = {**json.loads(files["model.json"]), "weights_sha256": hashlib.sha256(files[WEIGHTS]).hexdigest()}
        files["model.json"] = json.dumps(described).encode()
    folder.mkdir()
    for each, content in files.items():
        (folder / each).write_bytes(content)


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_a_model_folder_changed_at_random_loads_or_is_refused_in_a_line(trained, tmp_path, kind):
    source = {name: (trained / kind / name).read_bytes() for name in KINDS}
    (tmp_path / "mutants").mkdir()
    for seed in range(MUTANTS):
        mutant(tmp_path / "mutants" / f"{seed:03}", source, random.Random(f"{kind}{seed}"))
    command = [sys.executable, "-c", LOAD_ALL, str(trained / kind), str(tmp_path / "mutants")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{kind}, mutant {len(lines)}: {done.returncode}\n{done.stderr[-3000:]}"
    told = dict(json.loads(line) for line in lines)
    assert len(told) == MUTANTS
    refused = {name: why for name, why in told.items() if isinstance(why, str)}
    assert MUTANTS / 2 < len(refused) < MUTANTS
    for name, why in refused.items():
        assert f"mutants/{name}" in why or "gives NaN or infinity" in why
        assert len(why.splitlines()) == 1
        assert len(why) < 1000
        assert "memory" not in why
