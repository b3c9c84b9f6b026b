"""What DVC records of a stage: the parameters and dependencies at the stage's end, not those at its beginning."""

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoencoders.errors import UserError, printable
from autoencoders.params.file import YamlError, read_yaml

DVC_YAML, PARAMS_YAML = Path("dvc.yaml"), Path("params.yaml")
ASIDE = Path(".cache/unlisted")
RESULTS = ("model.json", "metrics.json", "codes")
"""Files by which a folder of results of one model, of `train` or `evaluate`, is recognised."""


class Recorded:
    """The parameters and dependencies, at this moment, of the stage that DVC has this process run.

    Source files count by their content, all others, which may be large, by size and time.
    """

    def __init__(self, address: str) -> None:
        self.stage = address.rpartition(":")[2]
        raw = _read(PARAMS_YAML)
        self._params, self._dependencies = _of_stage(self.stage, raw)
        for path in {"models", "evaluation"} & set(self._dependencies):
            _set_aside(Path(path), _value(raw, "models"))
        self._before = self._state(raw)

    def check(self) -> None:
        """Raise `UserError` if something has changed meanwhile: DVC would record what was not used."""
        now = self._state(_read(PARAMS_YAML))
        if changed := [name for name, value in self._before.items() if now.get(name) != value]:
            raise UserError(
                f"{', '.join(changed)} changed while {self.stage} ran. Its results are of what was there before, so "
                "DVC records nothing. `dvc repro` makes them again; to keep them, put back what was there before "
                f"and `dvc commit -f {self.stage}`."
            )

    def _state(self, raw: Any) -> dict[str, object]:
        params = {f"{PARAMS_YAML}: {key}": _value(raw, key) for key in self._params}
        return params | {path: _signatures(Path(path)) for path in self._dependencies}


def _of_stage(stage: str, raw: Any) -> tuple[list[str], list[str]]:
    """Return the keys of params.yaml and the paths that dvc.yaml says a stage depends on."""
    name, _, item = stage.partition("@")
    described = _value(_read(DVC_YAML), f"stages.{name}") or {}
    values = {"item.model": item, "key": item, "data.folder": _value(raw, "data.folder")}
    if each := described.get("foreach"):
        values["item"], described = each[item], described["do"]

    def filled(text: object) -> str:
        return re.sub(r"\$\{(.+?)\}", lambda match: str(values.get(match[1].strip(), match[0])), str(text))

    return [filled(key) for key in described.get("params", [])], [filled(path) for path in described.get("deps", [])]


def _set_aside(folder: Path, listed: Any) -> None:
    """Move results of models that params.yaml has not `listed` out of a folder that a stage depends on as a whole.

    With them in it, DVC would record a state of the folder that no other clone can have: no stage makes them any more.
    """
    if not isinstance(listed, Mapping) or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name not in listed and any((path / name).exists() for name in RESULTS):
            place = ASIDE / folder / path.name
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, place)
            print(printable(f"params.yaml has no model {path.name}: {path} is now {place}"), flush=True)


def _read(path: Path) -> Any:
    try:
        return read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, YamlError, UnicodeDecodeError):
        return None  # it is valid when a stage begins; later, it has changed


def _value(raw: Any, key: str) -> Any:
    for part in key.split("."):
        raw = raw.get(part) if isinstance(raw, Mapping) else None
    return raw


def _signatures(path: Path) -> list[tuple[str, object, object]]:
    files = [file for file in path.rglob("*") if not file.is_dir()] if path.is_dir() else [path]
    return sorted(_signature(file) for file in files if "__pycache__" not in file.parts)


def _signature(path: Path) -> tuple[str, object, object]:
    try:
        if path.is_relative_to("src") and path.is_file():
            return str(path), hashlib.sha256(path.read_bytes()).hexdigest(), None
        found = path.stat()
        return str(path), found.st_size, found.st_mtime_ns
    except OSError as error:
        return str(path), error.errno, None
