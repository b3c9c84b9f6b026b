"""Draw new images."""

from pathlib import Path

import torch

from autoencoders.commands.pictures import numbered, write_picture
from autoencoders.commands.results import new_folder
from autoencoders.data.batches import EVAL_BATCH
from autoencoders.errors import UserError, printable
from autoencoders.inference import load_model
from autoencoders.plots.sheets import sheet
from autoencoders.plots.style import save
from autoencoders.runtime.progress import progress

MAX_IMAGES = 100_000
"""Images that one call can write."""


def sample(*, model: str, n: int = 64, seed: int = 0, device: str = "auto", out: Path) -> None:
    """Write `n` new images to the folder `out`, one PNG each and overview.png: what a VAE decodes from N(0, I).

    Equal seeds give equal images. `model` is the folder of a trained VAE, or an MLflow URI such as
    models:/mnist-autoencoders@best-vae. Other kinds of models cannot generate: the distribution of their codes is
    unknown.
    """
    if not 0 <= seed < 2**31:
        raise UserError(f"--seed must be from 0 to {2**31 - 1}, found {seed}.")
    if not 1 <= n <= MAX_IMAGES:
        raise UserError(f"--n must be from 1 to {MAX_IMAGES:,}, found {n}.")
    trained, generator = load_model(model, device), torch.Generator().manual_seed(seed)
    names, first = iter(numbered([""] * n)), None
    with new_folder(out) as draft:
        for start in progress(range(0, n, EVAL_BATCH), desc="samples", unit="block", delay=2, leave=False):
            images = trained.sample(min(EVAL_BATCH, n - start), generator)
            first = images if first is None else first
            for image, name in zip(images, names, strict=False):
                write_picture(draft / name, image)
        assert first is not None
        save(sheet(first.numpy(), f"Samples of {trained.name}, seed {seed}", n), draft / "overview.png")
    print(printable(f"{out}: {n} samples of {trained.name}, seed {seed}, and overview.png"))
