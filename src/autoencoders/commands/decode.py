"""Turn codes into image files."""

from pathlib import Path

from autoencoders.commands.codes import read_codes
from autoencoders.commands.pictures import numbered, write_list, write_picture
from autoencoders.commands.results import new_folder
from autoencoders.errors import printable
from autoencoders.inference import load_model
from autoencoders.plots.sheets import sheet
from autoencoders.plots.style import save


def decode(codes: Path, *, model: str, device: str = "auto", out: Path) -> None:
    """Write the images of the codes in the file `codes` to the folder `out`: one PNG each, and overview.png.

    There, pictures.csv lists which picture belongs to which image. `model` is the model that encoded them: its folder,
    or its MLflow URI.
    """
    trained = load_model(model, device)
    stored = read_codes(codes, trained.name, trained.weights_sha256)
    with new_folder(out) as draft:
        images = trained.decode(stored.z)
        pictures = numbered(stored.files)
        for name, image in zip(pictures, images, strict=True):
            write_picture(draft / name, image)
        write_list(draft, pictures, stored.files)
        save(sheet(images.numpy(), f"{codes.name}, decoded by {trained.name}", len(images)), draft / "overview.png")
    print(printable(f"{out}: {len(images)} images and overview.png"))
