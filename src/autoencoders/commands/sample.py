"""New images."""

from pathlib import Path

import torch

from autoencoders.api import load_model
from autoencoders.commands.pictures import numbered, write_picture
from autoencoders.commands.results import result_folder
from autoencoders.errors import UserError
from autoencoders.plots.sheets import sheet
from autoencoders.plots.style import save


def sample(*, model: str, n: int = 64, seed: int = 0, out: Path) -> None:
    """Write n new images to the folder `out`, one PNG each and overview.png: what a VAE decodes from N(0, I).

    Equal seeds give equal images. `model` is the folder of a trained VAE, or an MLflow URI such as
    models:/mnist-autoencoders@best-vae. Other kinds of model cannot: nothing says where their codes lie.
    """
    if not 0 <= seed < 2**31:
        raise UserError(f"--seed must be from 0 to {2**31 - 1}, found {seed}.")
    trained = load_model(model)
    with result_folder(out) as draft:
        images = trained.sample(n, torch.Generator().manual_seed(seed))
        for name, image in zip(numbered([""] * n), images, strict=True):
            write_picture(draft / name, image)
        save(sheet(images.numpy(), f"Samples of {trained.name}, seed {seed}"), draft / "overview.png")
    print(f"{out}: {n} samples of {trained.name}, seed {seed}, and overview.png")
