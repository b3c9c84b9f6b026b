"""Decoders for the page: their layers as a list, and their weights in 8 bits, those that decoders share stored once.

`decoder.js` evaluates the layers: linear, residual, relu, unflatten, conv, conv_transpose, sum, refined, sigmoid, clip.
"""

import base64
import hashlib
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoders.models import Model
from autoencoders.models.blocks import Refined, Residual, Sum, linear_layer
from autoencoders.report.thumbnails import MAX_SIDE, fitting

MAX_WEIGHTS = 4_000_000  # numbers in all decoders of a page together: 5.4 MB of it
N_MEASURED = 256  # codes on which the error of 8 bits is measured
Layer = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Weight and bias of a layer as `decoder.js` takes them; arrays are base64, numbers little-endian."""

    rows: int
    columns: int
    weights: str  # int8, row by row
    scales: str  # float32, what the numbers of each row are multiplied by
    biases: str  # float32


@dataclass(frozen=True)
class Decoder:
    """A decoder as `decoder.js` takes it."""

    shape: tuple[int, int, int]  # channels, height, width of an image
    layers: list[Layer]
    parts: list[Part]  # of each layer with weights
    bytes: int  # of its parts on the page
    error: float  # mean absolute difference of pixels, of 0 to 1, from the model's own images


def weights_by_part(model: Model) -> dict[str, int]:
    """Return how many numbers each part of a decoder adds to the page, by a hash of it: decoders may share parts."""
    layers, _ = _layers(model)
    tensors = [tensor for layer in layers for tensor in _layer(layer)[1]]
    return {
        hashlib.sha256(weight.detach().numpy().tobytes() + bias.detach().numpy().tobytes()).hexdigest(): (
            weight.numel() + bias.numel()
        )
        for weight, bias in zip(tensors[::2], tensors[1::2], strict=True)
    }


@torch.inference_mode()
def decoder(model: Model, codes: NDArray[np.float32]) -> Decoder:
    """Return the decoder of a model for the page, its weights rounded to 8 bits; `codes` (N, latent) measure the error.

    Raise `TypeError` for a layer that `decoder.js` does not know.
    """
    layers, shape = _layers(model)
    exact = nn.Sequential(*layers).cpu()
    rounded = deepcopy(exact)
    described = [_layer(layer) for layer in rounded]
    tensors = [tensor for _, of_layer in described for tensor in of_layer]
    parts = [_in_8_bits(weight, bias) for weight, bias in zip(tensors[::2], tensors[1::2], strict=True)]
    z = torch.from_numpy(codes[:N_MEASURED])
    return Decoder(
        shape,
        [layer for layer, _ in described],
        parts,
        bytes=sum(len(text) for part in parts for text in (part.weights, part.scales, part.biases)),
        error=float((exact(z) - rounded(z)).abs().mean()),
    )


@torch.no_grad()
def _layers(model: Model) -> tuple[list[nn.Module], tuple[int, int, int]]:
    """Return the layers that decode in the page, and the shape (C, H, W) of their images.

    Where the last layer with weights makes pixels of numbers, as PCA does, it makes an image of at most `MAX_SIDE`
    pixels a side: the average of its rows for the pixels that become one.
    """
    layers, (channels, height, width) = model.decoder_layers(), model.shape
    last, size = layers[-2], fitting(height, width, MAX_SIDE)
    if size == (height, width) or not isinstance(last, nn.Linear):
        return layers, model.shape
    rows = torch.cat([last.weight, last.bias[:, None]], 1).T.reshape(-1, channels, height, width)
    small = F.interpolate(rows, size, mode="area").flatten(1).T.contiguous()
    return [*layers[:-2], linear_layer(small[:, :-1].contiguous(), small[:, -1]), layers[-1]], (channels, *size)


def as_base64(values: ArrayLike, dtype: DTypeLike) -> str:
    """Return the bytes of an array of numbers of a type as text."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")


def _in_8_bits(weight: Tensor, bias: Tensor) -> Part:
    """Round a weight (rows, …) in place to multiples of a scale for each row, and return it with its bias."""
    rows = weight.flatten(1)
    scale = rows.abs().amax(1, keepdim=True) / 127
    whole = torch.where(scale > 0, rows / scale, 0).round()
    weight.copy_((whole * scale).view_as(weight))
    count, columns = rows.shape
    return Part(count, columns, as_base64(whole, "i1"), as_base64(scale, "<f4"), as_base64(bias, "<f4"))


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
