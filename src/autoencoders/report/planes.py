"""Two-dimensional models for the page: their test codes, and their decoders as lists of layers with weights.

`decoder.js` evaluates the layers: linear, residual, relu, unflatten, conv, conv_transpose, sum, refined, sigmoid, clip.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoencoders.data.prepared import PreparedData
from autoencoders.evaluation.results import read_codes
from autoencoders.model_folder import load_trained
from autoencoders.models import Model
from autoencoders.models.blocks import Refined, Residual, Sum
from autoencoders.params import KINDS, Params
from autoencoders.plots.latent_plane import N_HUES, are_short, class_tags, place_tags, square_around
from autoencoders.plots.names import shortened
from autoencoders.plots.style import PALETTE

MAX_CODES = 5000
MAX_WEIGHTS = 1_200_000  # numbers in all decoders of a page together: 6.4 MB of it
MARKS = "●▲■◆✚"  # the first `N_HUES` classes have the first one, further classes the next
MIN_EXTENT = 2.2  # the plane shows at least ±`MIN_EXTENT`, where N(0, I) has nearly everything
Layer = dict[str, Any]


@dataclass(frozen=True)
class Plane:
    """What the page needs of one model; arrays are base64 of little-endian float32."""

    name: str
    kind: str  # as tables name it: PCA, AE or VAE
    shape: tuple[int, int, int]  # channels, height, width of an image
    layers: list[Layer]
    weights: str  # weight and bias of each layer in turn
    codes: str  # (n, 2), row by row
    labels: list[int]  # classes of the codes; empty where there are none
    tags: list[dict[str, Any]]  # a class's name on the plane, `text`, and where, `x` and `y`
    corner: tuple[float, float]  # the lowest z₁ and z₂ that the plane shows
    span: float  # its side


def planes_of(params: Params, data: PreparedData, models: Path, evaluation: Path) -> tuple[list[Plane], list[str]]:
    """Return the planes of the models of two dimensions, and the names of those too large for the page.

    Raise `UserError` where a model, or its codes of the test images, are missing or damaged.
    """
    labels, shown, left_out, used = data.split("test").labels, [], [], 0
    for name, entry in params.models.items():
        if entry.latent != 2:
            continue
        model = load_trained(models / name).model
        if used + count_weights(model) > MAX_WEIGHTS:
            left_out.append(name)
            continue
        used += count_weights(model)
        codes = read_codes(evaluation / name, (data.info.counts["test"], 2))
        shown.append(plane(name, KINDS[entry.kind].label, model, codes, labels, data.info.classes))
    return shown, left_out


def count_weights(model: Model) -> int:
    """Return how many numbers a decoder adds to the page."""
    return sum(tensor.numel() for layer in model.decoder_layers() for tensor in _layer(layer)[1])


def plane(
    name: str, kind: str, model: Model, codes: NDArray[Any], labels: NDArray[Any] | None, classes: Sequence[str] | None
) -> Plane:
    """Return the plane of a model of two latent dimensions, with the test `codes` (N, 2) and `labels` (N,).

    `kind` as tables name it, such as AE.
    """
    decoder = [_layer(layer) for layer in model.decoder_layers()]
    weights = [tensor.detach().cpu().numpy().ravel() for _, tensors in decoder for tensor in tensors]
    low, span = square_around(codes, MIN_EXTENT)
    corner = low.astype(np.float64)
    chosen = thinned(len(codes))
    return Plane(
        name=name,
        kind=kind,
        shape=model.shape,
        layers=[layer for layer, _ in decoder],
        weights=_base64(np.concatenate(weights)),
        codes=_base64(codes[chosen]),
        labels=[] if labels is None else [int(label) for label in labels[chosen]],
        tags=[] if labels is None else _tags(codes, labels, classes, corner, span),
        corner=(float(corner[0]), float(corner[1])),
        span=span,
    )


def thinned(count: int) -> NDArray[np.intp]:
    """Return the indices of at most `MAX_CODES` codes, shuffled so that no class covers the others."""
    return np.random.default_rng(0).permutation(count)[:MAX_CODES]


def legend(labels: NDArray[Any] | None, classes: Sequence[str] | None) -> list[dict[str, str]]:
    """Return mark, colour and text of each class that occurs."""
    if labels is None:
        return []
    names = _names(labels, classes)
    short = are_short(names)
    return [
        {
            "mark": MARKS[label // N_HUES % len(MARKS)],
            "colour": PALETTE[label % N_HUES],
            "text": name if short else f"{label} {name}",
        }
        for label, name in names.items()
    ]


def _names(labels: NDArray[Any], classes: Sequence[str] | None) -> dict[int, str]:
    found = (int(label) for label in np.unique(labels))
    return {label: shortened(classes[label]) if classes else str(label) for label in found}


def _tags(
    codes: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None, corner: NDArray[Any], span: float
) -> list[dict[str, Any]]:
    """Return a tag at the median of each class with enough points, moved where it would cover another."""
    tags = class_tags(labels, _names(labels, classes))
    if not tags:
        return []
    letter = 0.06 * span  # the height of a line on the plane
    sizes = np.array([[letter * max(0.6 * len(text), 0.8), letter] for text in tags.values()])
    _, placed = place_tags(codes, labels, tags, sizes, corner, span)
    return [{"text": text, "x": x, "y": y} for text, (x, y) in zip(tags.values(), placed.tolist(), strict=True)]


def _layer(module: nn.Module) -> tuple[Layer, list[Tensor]]:
    """Return a layer as `decoder.js` takes it, with its weight and bias."""
    match module:
        case nn.Linear():
            return {"kind": "linear", "in": module.in_features, "out": module.out_features}, _tensors(module)
        case nn.ReLU():
            return {"kind": "relu"}, []
        case nn.Sigmoid():
            return {"kind": "sigmoid"}, []
        case nn.Hardtanh():
            return {"kind": "clip"}, []
        case Sum():
            kind = "refined" if isinstance(module, Refined) else "sum"
            branches = [[_layer(layer) for layer in branch] for branch in (module.linear, module.network)]
            tensors = [tensor for branch in branches for _, tensors in branch for tensor in tensors]
            return {"kind": kind, "branches": [[layer for layer, _ in branch] for branch in branches]}, tensors
        case Residual():
            return {"kind": "residual", "size": module.linear.in_features}, _tensors(module.linear)
        case nn.Unflatten():
            return {"kind": "unflatten", "shape": list(module.unflattened_size)}, []
        case nn.Conv2d() | nn.ConvTranspose2d() if set(module.dilation) == {1} and module.groups == 1:
            transposed = isinstance(module, nn.ConvTranspose2d)
            settings = ("kernel_size", "stride", "padding", *(["output_padding"] if transposed else []))
            kind = "conv_transpose" if transposed else "conv"
            layer = {"kind": kind, "in": module.in_channels, "out": module.out_channels}
            return layer | {key: list(getattr(module, key)) for key in settings}, _tensors(module)
    raise TypeError(f"decoder.js knows no {module}")


def _tensors(module: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> list[Tensor]:
    bias = torch.zeros(module.weight.shape[1 if isinstance(module, nn.ConvTranspose2d) else 0])
    return [module.weight, bias if module.bias is None else module.bias]


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")
