"""Codes to image files."""

from pathlib import Path

from autoencoders.api import load_model
from autoencoders.commands.codes import read_codes
from autoencoders.commands.pictures import numbered, write_picture
from autoencoders.commands.results import new_folder
from autoencoders.plots.sheets import sheet
from autoencoders.plots.style import save


def decode(codes: Path, *, model: str, out: Path) -> None:
    """Write the images of the codes in the file `codes` to the folder `out`: one PNG each, and overview.png.

    `model` is the model that encoded them: its folder, or its MLflow URI.
    """
    trained = load_model(model)
    stored = read_codes(codes, trained.name, trained.weights_sha256)
    with new_folder(out) as draft:
        images = trained.decode(stored.z)
        for name, image in zip(numbered(stored.files), images, strict=True):
            write_picture(draft / name, image)
        save(sheet(images.numpy(), f"{codes.name}, decoded by {trained.name}", len(images)), draft / "overview.png")
    print(f"{out}: {len(images)} images and overview.png")
