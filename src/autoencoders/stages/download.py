"""Fetch a data set's original files and verify them; for a folder of images, list them with their checksums."""

import json
from pathlib import Path

from autoencoders.data import folder as image_folder
from autoencoders.data.catalog import CATALOG, FOLDER
from autoencoders.data.named_sets import RawFile, files_of
from autoencoders.data.sources import Sources, chosen_mirror
from autoencoders.errors import counted, printable
from autoencoders.files.results import apart, checksum, is_intact, link_or_copy, result_folder, scratch_folder
from autoencoders.params import Data, Params


def download(params: Params, *, out: Path, cache: Path | None = None) -> None:
    """Fill `out` with the files of `params.data` and `source.json`, which lists them.

    `cache` keeps verified files between runs (DVC removes `out` before each). For `name: folder`, nothing is copied:
    `manifest.csv` lists the images with their checksums, and their roles if the folder has such. The log names the
    source of each file; `source.json` does not, so the output does not depend on the source.

    Raise `UserError` if no source can serve a file, the disk is full, the folder holds no images, or some have no role.
    """
    if cache:
        apart(out, cache)
    own = params.data.name == FOLDER
    files = [] if own else files_of(CATALOG[params.data.name])
    with result_folder(out, [*_listed(out), *(file.path for file in files)]) as draft:
        source = _list_images(params.data, draft) if own else _get_files(params.data, files, draft, out, cache)
        (draft / "source.json").write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")


def _listed(out: Path) -> list[str]:
    """Return the paths of the files that the stage wrote before, of this set or another one."""
    try:
        source = json.loads((out / "source.json").read_text(encoding="utf-8"))
        return ["source.json", "manifest.csv", *(str(file["path"]) for file in source.get("files", []))]
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return ["source.json", "manifest.csv"]


def _get_files(data: Data, files: list[RawFile], draft: Path, out: Path, cache: Path | None) -> dict[str, object]:
    listed = []
    with scratch_folder(draft) as scratch:
        sources = Sources(chosen_mirror(data.mirror), CATALOG[data.name].archive, scratch)
        for file in files:
            target = draft / file.path
            _get_file(file, target, [out, *([cache] if cache else [])], sources)
            if cache and not is_intact(cache / file.path, file.digest):
                link_or_copy(target, cache / file.path)
            listed.append({"path": file.path, "size": target.stat().st_size, "sha256": checksum(target, "sha256")})
    return {"name": data.name, "files": listed}


def _get_file(file: RawFile, target: Path, kept: list[Path], sources: Sources) -> None:
    for place in kept:
        if is_intact(place / file.path, file.digest):
            link_or_copy(place / file.path, target)
            print(f"{target.name}: already in {place}, intact", flush=True)
            return
        if (place / file.path).exists():
            print(f"{target.name}: damaged in {place}, getting it again", flush=True)
    served = sources.fetch(file, target)
    print(f"{target.name}: {target.stat().st_size:,} bytes from {served}", flush=True)


def _list_images(data: Data, draft: Path) -> dict[str, object]:
    folder = Path(data.folder)
    found = image_folder.scan(folder)
    image_folder.write_manifest(folder, found.images, draft / "manifest.csv", found.roles)
    images, others = found.without_masks, counted(found.ignored, "other file")
    print(printable(f"{folder}: {counted(len(images), 'image')}, {others} ignored"), flush=True)
    if found.roles.line:
        print(printable(found.roles.line), flush=True)
    return {"name": data.name, "images": len(images)}
