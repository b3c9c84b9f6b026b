"""Decoders for the page: their layers as a list, and their weights in 8 bits.

`decoder.js` evaluates the layers: linear, residual, relu, unflatten, conv, conv_transpose, sum, refined, sigmoid, clip.
"""

import base64
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Tensor, nn

from autoencoders.models import Model
from autoencoders.models.blocks import Refined, Residual, Sum

MAX_WEIGHTS = 4_000_000  # numbers in all decoders of a page together: 5.4 MB of it
N_MEASURED = 256  # codes on which the error of 8 bits is measured
Layer = dict[str, Any]


@dataclass(frozen=True)
class Decoder:
    """A decoder as `decoder.js` takes it; arrays are base64, numbers little-endian."""

    shape: tuple[int, int, int]  # channels, height, width of an image
    layers: list[Layer]
    sizes: list[tuple[int, int, int]]  # of each layer with weights: rows and columns of the weight, length of the bias
    weights: str  # int8, the layers' weights one after the other, row by row
    scales: str  # float32, what the numbers of each row are multiplied by
    biases: str  # float32
    bytes: int  # of weights, scales and biases on the page
    error: float  # mean absolute difference of pixels, of 0 to 1, from the model's own images


def count_weights(model: Model) -> int:
    """Return how many numbers a decoder adds to the page."""
    return sum(tensor.numel() for layer in model.decoder_layers() for tensor in _layer(layer)[1])


@torch.inference_mode()
def decoder(model: Model, codes: NDArray[np.float32]) -> Decoder:
    """Return the decoder of a model for the page, its weights rounded to 8 bits; `codes` (N, latent) measure the error.

    Raise `TypeError` for a layer that `decoder.js` does not know.
    """
    exact = nn.Sequential(*model.decoder_layers()).cpu()
    rounded = deepcopy(exact)
    described = [_layer(layer) for layer in rounded]
    tensors = [tensor for _, of_layer in described for tensor in of_layer]
    pairs = [_in_8_bits(weight) for weight in tensors[::2]]
    biases = tensors[1::2]
    z = torch.from_numpy(codes[:N_MEASURED])
    arrays = (
        as_base64(np.concatenate([whole.ravel() for whole, _ in pairs]), "i1"),
        as_base64(np.concatenate([scale for _, scale in pairs]), "<f4"),
        as_base64(np.concatenate([bias.numpy() for bias in biases]), "<f4"),
    )
    return Decoder(
        model.shape,
        [layer for layer, _ in described],
        [(*whole.shape, len(bias)) for (whole, _), bias in zip(pairs, biases, strict=True)],
        *arrays,
        bytes=sum(map(len, arrays)),
        error=float((exact(z) - rounded(z)).abs().mean()),
    )


def as_base64(values: ArrayLike, dtype: DTypeLike) -> str:
    """Return the bytes of an array of numbers of a type as text."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")


def _in_8_bits(weight: Tensor) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a weight (rows, …) in place to multiples of a scale for each row; return the factors and the scales."""
    rows = weight.flatten(1)
    scale = rows.abs().amax(1, keepdim=True) / 127
    whole = torch.where(scale > 0, rows / scale, 0).round()
    weight.copy_((whole * scale).view_as(weight))
    return whole.numpy().astype(np.int8), scale[:, 0].numpy()


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
