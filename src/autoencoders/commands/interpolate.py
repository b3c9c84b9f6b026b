"""Draw images between two images, along a straight line in the latent space."""

from pathlib import Path

from autoencoders.commands.pictures import numbered, write_picture
from autoencoders.commands.results import new_folder
from autoencoders.errors import UserError, printable
from autoencoders.inference import load_model
from autoencoders.plots.sheets import transition
from autoencoders.plots.style import save

MAX_STEPS = 200
"""The most images in one picture."""


def interpolate(a: Path, b: Path, *, model: str, steps: int = 11, device: str = "auto", out: Path) -> None:
    """Write `steps` images from image `a` to image `b` to the folder `out`: one PNG each, and overview.png.

    Their codes are on the straight line between the codes of `a` and `b`. `model` is the folder of a trained model, or
    an MLflow URI such as models:/mnist-autoencoders@best-vae.
    """
    if not 2 <= steps <= MAX_STEPS:
        raise UserError(f"--steps must be from 2 to {MAX_STEPS}, found {steps}.")
    trained = load_model(model, device)
    [ends] = trained.image_blocks([a, b])
    with new_folder(out) as draft:
        images = trained.interpolate(ends[0], ends[1], steps)
        for name, image in zip(numbered([""] * steps), images, strict=True):
            write_picture(draft / name, image)
        save(
            transition(ends.numpy(), images.numpy(), (printable(a.name), printable(b.name)), trained.name),
            draft / "overview.png",
        )
    print(printable(f"{out}: {steps} images from {a.name} to {b.name} by {trained.name}, and overview.png"))
