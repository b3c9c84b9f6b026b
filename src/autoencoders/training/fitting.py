"""Finding a model's weights from training and validation images: in closed form, or in steps."""

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.principal_components import PrincipalComponents
from autoencoders.models.base import Model
from autoencoders.training.device import resolve_precision
from autoencoders.training.loop import HistoryRow, fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autoencoders.params import Train

    Images = NDArray[np.uint8]


def fit_in_closed_form(model: Model, components: PrincipalComponents, validation: "Images") -> dict[str, Any]:
    """Set the weights of `model`; return what `model.json` says of the result on uint8 images (N, C, H, W).

    `components` are the first `n_components` of the training images.
    """
    model.initialise(components)
    batches = Batches(validation, EVAL_BATCH, torch.device("cpu")).in_order()
    errors = [F.mse_loss(model(x), x, reduction="sum").item() for x in batches]
    return {"validation": {"val/mse": sum(errors) / validation.size}}


def fit_in_steps(
    model: Model,
    components: PrincipalComponents,
    train: "Images",
    validation: "Images",
    settings: "Train",
    device: torch.device,
    **options: Any,
) -> tuple[list[HistoryRow], dict[str, Any]]:
    """Train an untrained `model` in place; return its history, and what `model.json` says of the result.

    The images are uint8 (N, C, H, W), `components` the first `n_components` of the training images. `options` are those
    of `loop.fit`.
    """
    model.initialise(components)
    batches = training_batches(model, train, settings.batch_size, device)
    progress = fit(model, batches, Batches(validation, EVAL_BATCH, device), settings, **options)
    best = next(row for row in progress.history if row["step"] == progress.best_step)
    return progress.history, {
        "precision": resolve_precision(settings.precision, device),
        "best_step": progress.best_step,
        "validation": {key: value for key, value in best.items() if key.startswith("val/")},
    }


@torch.no_grad()
def training_batches(model: Model, images: "Images", batch_size: int, device: torch.device) -> Batches:
    """Return batches of what `model` trains on: uint8 `images` (N, C, H, W), or what its `inputs` makes of them."""
    inputs = model.inputs
    if inputs is None:
        return Batches(images, batch_size, device)
    inputs.to(device)
    rows = torch.cat([inputs(x).cpu() for x in Batches(images, EVAL_BATCH, device).in_order()])
    return Batches(rows.numpy(), batch_size, device)
