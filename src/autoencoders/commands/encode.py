"""Turn image files into codes."""

from pathlib import Path

import torch

from autoencoders.commands.codes import MARK, write_codes
from autoencoders.commands.results import result_file
from autoencoders.data.pictures import list_pictures
from autoencoders.errors import printable
from autoencoders.inference import load_model


def encode(images: list[Path], *, model: str, device: str = "auto", out: Path) -> None:
    """Write the codes of images (files, or folders of them) to the file `out`, in NumPy's format npz.

    `model` is the folder of a trained model, or an MLflow URI such as models:/mnist-autoencoders@best-vae.
    The file also holds the images' names and the hash of the model's weights: only that model decodes it.
    """
    trained, files = load_model(model, device), list_pictures(images)
    with result_file(out, MARK) as draft:
        z = torch.cat([trained.encode(x) for x in trained.image_blocks(files)])
        names = [file.as_posix() for file in files]
        write_codes(draft, z.numpy(), names, trained.name, trained.weights_sha256)
    print(printable(f"{out}: {len(z)} codes of {trained.latent} numbers, by {trained.name}"))
