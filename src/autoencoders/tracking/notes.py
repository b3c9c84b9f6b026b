"""The notes on MLflow's pages: what an experiment, a run and a model are, and where to look."""

from collections.abc import Mapping
from typing import Any

from autoencoders.params import KINDS

NOTE = "mlflow.note.content"
"""Tag that MLflow shows as the description of an experiment, a run or a logged model, in Markdown."""


def experiment_note(ladder: str) -> str:
    """Return the note on the experiment of the models; that of the rungs and the report is `ladder`."""
    return (
        "Each run is a trained model, named by what it changes. Compare runs by `test/*`, the measures on the test "
        f"images. The rungs of the ladder and the report are in `{ladder}`."
    )


def ladder_note(models: str) -> str:
    """Return the note on the experiment of the rungs and the report; that of the models is `models`."""
    return (
        "Each run `ladder: …` is a rung of the ladder: open `ladder/story.md` and `ladder/figure.png` among its "
        f"artifacts. The run `report` has the page `report/index.html`. The models are in `{models}`."
    )


def model_title(description: Mapping[str, Any]) -> str:
    """Return what a model is: `VAE of mnist (1×28×28), 16 latent dimensions`."""
    kind, latent = KINDS[description["model"]["kind"]].label, description["model"]["latent"]
    shape = "×".join(map(str, description["shape"]))
    return f"{kind} of {description['dataset']['name']} ({shape}), {latent} latent dimensions"


def run_note(description: Mapping[str, Any], changes: str | None) -> str:
    """Return the note on the run of a model: what it is, what its training `changes`, and where its results are."""
    return "\n\n".join([
        f"**{model_title(description)}**",
        *([f"Changes: {changes}."] if changes else []),
        "`test/*` are measures on the test images, `val/best/*` those of the kept weights on the validation images. "
        "`train/*` and `val/*` are curves by step. The figures are the PNG files among the artifacts. "
        "`worst_reconstructions.json` is a table of the test images with the largest errors.",
    ])  # fmt: skip


def logged_note(description: Mapping[str, Any]) -> str:
    """Return the note on a logged model, or a version: what it is, and what goes in and comes out."""
    shape = ", ".join(["N", *map(str, description["shape"])])
    return (
        f"{model_title(description)}. Takes images, float32 ({shape}) in [0, 1], and returns their reconstructions or, "
        'with `params={"output": "codes"}`, their codes.'
    )


def registered_note(dataset: str) -> str:
    """Return the note on the registered model of a data set."""
    return (
        f"All models of {dataset}, a version each. By the validation images, the alias `best-autoencoder` names "
        "the one with the lowest `val/mse`. `best-vae` names the VAE with the highest `val/elbo`, or the lowest "
        "`val/mse` where likelihoods differ."
    )
