"""The roles of folders: which images are for training, for validation and for testing, where the user has sorted them.

A folder has roles if all folders of its first level are called `train`, `val` (`valid`, `validation`) or `test`, in
small letters or capitals, `train` and another one among them. Below each, subfolders are classes. `ground_truth` beside
them holds masks, as in MVTec AD (Bergmann et al. 2019): the one of `test/<defect>/<name>.png` is
`ground_truth/<defect>/<name>_mask.png`. Masks are images of defects' places, and none of the set.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from autoencoders.errors import UserError, counted

FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "ground_truth": "mask"}
MASK = "mask"
ROLES = ("train", "val", "test", MASK)


@dataclass(frozen=True)
class Roles:
    """What the first level of a folder says of its images."""

    by_path: dict[str, str] = field(default_factory=dict)
    """train, val, test or mask, of each image; empty where the folder has no roles."""
    masks: dict[str, str] = field(default_factory=dict)
    """The mask of a test image, by path, where there is one."""
    line: str = ""
    """What is to be said about it; empty where nothing is."""


def find_roles(folder: Path, images: Sequence[str]) -> Roles:
    """Return the roles of `images`, which are paths in `folder` with forward slashes.

    Raise `UserError` where an image lies beside the folders of roles, one that is needed holds no images, or the
    folders of roles lie one level below.
    """
    holding = {path.partition("/")[0] for path in images if "/" in path}
    strays = [path for path in images if "/" not in path]
    others = sorted(name for name in holding if name.lower() not in FOLDERS)
    present = {FOLDERS[name.lower()] for name in holding if name.lower() in FOLDERS}
    empty = sorted(
        name.name
        for name in folder.iterdir()
        if name.is_dir() and not name.name.startswith(".") and name.name not in holding
    )
    vacant = [name for name in empty if FOLDERS.get(name.lower(), MASK) != MASK]
    intended = present | {FOLDERS[name.lower()] for name in vacant}
    if "train" not in intended or not intended & {"val", "test"}:
        _refuse_nested(folder, images)
        return Roles()
    if others:
        named = _listed(sorted(holding - set(others)) or vacant)
        return Roles(
            line=f"{named} beside {_listed(others)}: all are folders of classes, and not of roles. For the roles of "
            f"training and testing, move {_listed(others)} out of {folder}."
        )
    if "train" not in present or not present & {"val", "test"}:
        raise UserError(
            f"data.folder: {_listed(vacant)} in {folder} {'hold' if len(vacant) > 1 else 'holds'} no images. Put those "
            f"of this role there, or remove the folder."
        )
    if strays:
        named = f"{', '.join(strays[:3])}{', …' if len(strays) > 3 else ''}"
        raise UserError(
            f"data.folder: {counted(len(strays), 'image')} ({named}) in {folder} beside {_listed(sorted(holding))}, "
            f"and so in no role. Move every image into one of these folders, or out of {folder}."
        )
    by_path = {path: FOLDERS[path.partition("/")[0].lower()] for path in images}
    masks = _masks(by_path)
    return Roles(by_path, masks, _told(holding, by_path, masks, empty))


def below_role(path: str, role: str) -> str:
    """Return the path of an image within the folder of its role, or within the whole folder where it has none."""
    return path.partition("/")[2] if role else path


def _masks(by_path: dict[str, str]) -> dict[str, str]:
    named = {}
    for path, role in by_path.items():
        if role == MASK:
            below = PurePosixPath(below_role(path, role))
            named[below.with_name(below.stem.removesuffix("_mask")).as_posix()] = path
    tested = (path for path, role in by_path.items() if role == "test")
    return {
        path: named[key]
        for path in tested
        if (key := PurePosixPath(below_role(path, "test")).with_suffix("").as_posix()) in named
    }


def _told(holding: set[str], by_path: dict[str, str], masks: dict[str, str], empty: Sequence[str]) -> str:
    counts = Counter(by_path.values())
    parts = []
    for role, setting in (("train", ""), ("val", "prepare.validation"), ("test", "prepare.test")):
        folders = sorted(name for name in holding if FOLDERS[name.lower()] == role)
        if folders:
            parts.append(f"{_listed(folders)} {counted(counts[role], 'image')}")
        else:
            parts.append(f"{role} is split off train ({setting})")
    if counts[MASK]:
        tested = counted(counts["test"], "test image")
        parts.append(f"ground_truth/ {counted(counts[MASK], 'mask')}, for {len(masks):,} of {tested}")
    if empty:
        parts.append(f"{_listed(empty)}: no images, ignored")
    return f"roles of folders: {'; '.join(parts)}"


def _refuse_nested(folder: Path, images: Sequence[str]) -> None:
    """Raise `UserError` where the folders of the first level have roles below them, as all of MVTec AD together."""
    below: dict[str, set[str]] = {}
    for path in images:
        first, *rest = path.split("/")
        if len(rest) > 1:
            below.setdefault(first, set()).add(FOLDERS.get(rest[0].lower(), ""))
    sets = sorted(name for name, roles in below.items() if "train" in roles and roles & {"val", "test"})
    if sets:
        listed = _listed(sets[:3]) + (", …" if len(sets) > 3 else "")
        raise UserError(
            f"data.folder: the folders of roles (train/, test/) lie in {listed}, not in {folder} itself. Name one such "
            f"folder: {folder / sets[0]}."
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"{name}/" for name in names)
