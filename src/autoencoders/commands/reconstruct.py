"""Encode image files and decode them again."""

from pathlib import Path

from torch import Tensor

from autoencoders.commands.pictures import numbered, write_list, write_picture
from autoencoders.commands.results import new_folder
from autoencoders.data.pictures import list_pictures
from autoencoders.errors import printable
from autoencoders.inference import load_model
from autoencoders.plots.sheets import pairs
from autoencoders.plots.style import save


def reconstruct(images: list[Path], *, model: str, device: str = "auto", out: Path) -> None:
    """Write the reconstructions of images (files, or folders of them) to the folder `out`: one PNG each.

    overview.png there shows them below their originals, and pictures.csv lists which picture belongs to which image.
    `model` is the folder of a trained model, or an MLflow URI such as models:/mnist-autoencoders@best-vae.
    """
    trained, files = load_model(model, device), list_pictures(images)
    given = [file.as_posix() for file in files]
    pictures = numbered(given)
    names = iter(pictures)
    first: tuple[Tensor, Tensor] | None = None
    with new_folder(out) as draft:
        for x in trained.image_blocks(files):
            redrawn = trained.reconstruct(x)
            first = first or (x, redrawn)
            for image, name in zip(redrawn, names, strict=False):
                write_picture(draft / name, image)
        assert first
        write_list(draft, pictures, given)
        save(pairs(first[0].numpy(), first[1].numpy(), trained.name, len(files)), draft / "overview.png")
    print(printable(f"{out}: {len(files)} reconstructions by {trained.name} and overview.png"))
