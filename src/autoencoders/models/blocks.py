"""Encoders and decoders as sequences of layers, every size derived from the image's shape."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod, sqrt

import torch
from torch import Tensor, nn

from autoencoders.errors import UserError

Shape = tuple[int, int, int]  # channels, height, width


def mlp_encoder(shape: Shape, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """(B, C, H, W) → (B, outputs), ReLU between the layers."""
    return nn.Sequential(nn.Flatten(), *_linear_stack([prod(shape), *hidden, outputs]))


def mlp_decoder(shape: Shape, hidden: Sequence[int], latent: int) -> nn.Sequential:
    """(B, latent) → (B, C, H, W), ReLU between the layers."""
    return nn.Sequential(*_linear_stack([latent, *hidden, prod(shape)]), nn.Unflatten(1, shape))


def conv_encoder(shape: Shape, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """(B, C, H, W) → (B, outputs): each 4×4 convolution of stride 2 halves height and width (rounded down)."""
    sizes = _halvings(shape, len(hidden))
    layers: list[nn.Module] = []
    for before, after in pairwise([shape[0], *hidden]):
        layers += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(hidden[-1] * prod(sizes[-1]), outputs))


def conv_decoder(shape: Shape, hidden: Sequence[int], latent: int) -> nn.Sequential:
    """(B, latent) → (B, C, H, W); transposed convolutions that undo the encoder's sizes, odd ones too."""
    sizes = _halvings(shape, len(hidden))[::-1]
    channels = [*hidden, shape[0]]
    layers: list[nn.Module] = [
        nn.Linear(latent, channels[0] * prod(sizes[0])),
        nn.Unflatten(1, (channels[0], *sizes[0])),
    ]
    for (before, after), (height, width) in zip(pairwise(channels), sizes[1:], strict=True):
        odd = (height % 2, width % 2)  # the row or column that the encoder's halving dropped
        layers += [nn.ReLU(), nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1, output_padding=odd)]
    return nn.Sequential(*layers)


def conv_refiner(shape: Shape, hidden: Sequence[int]) -> nn.Sequential:
    """(B, C, H, W) → (B, C, H, W): what is to be added to images that lack detail.

    3×3 convolutions at a quarter of height and width (rounded down), between a convolution and its transpose of
    overlapping 8×8 blocks.
    """
    stride = min(4, *shape[1:])
    padding = stride // 2
    kernel = stride + 2 * padding
    layers: list[nn.Module] = [nn.Conv2d(shape[0], hidden[0], kernel, stride, padding), nn.ReLU()]
    for before, after in pairwise(hidden):
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU()]
    left_over = (shape[1] % stride, shape[2] % stride)
    return nn.Sequential(*layers, nn.ConvTranspose2d(hidden[-1], shape[0], kernel, stride, padding, left_over))


class Centre(nn.Module):
    """Subtract the mean image, so that products in bfloat16 keep the digits in which images differ."""

    mean: Tensor  # (C, H, W)

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return x - self.mean


class Sum(nn.Module):
    """The sum of what a linear part and a network make of the same input.

    `start_linear` makes the network's output zero, until training changes it.
    """

    def __init__(self, linear: nn.Sequential, network: nn.Sequential) -> None:
        super().__init__()
        self.linear, self.network = linear, network

    def forward(self, x: Tensor) -> Tensor:
        """(B, …) → (B, …)."""
        return self.linear(x) + self.network(x)

    @torch.no_grad()
    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Begin as the linear map of a `weight` (outputs, inputs) and a `bias` (outputs,); images are flattened."""
        linear, network = last_layer(self.linear), last_layer(self.network)
        assert linear.bias is not None and network.bias is not None
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
        network.weight.zero_()
        network.bias.zero_()


class Refined(Sum):
    """The image that a linear part makes of a code, and what a network adds to that image.

    The network sees pixels from −2 to 2, about of mean 0 and variance 1. With pixels in [0, 1] it learns more slowly.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, latent) → (B, C, H, W)."""
        image = self.linear(x)
        return image + self.network(4 * (image - 0.5))


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clamp(0, 1)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return gradients[0]


def clamp_pixels(x: Tensor) -> Tensor:
    """Return `x` clamped to [0, 1]; gradients pass as if it were not (straight-through; Bengio et al. 2013).

    A pixel beyond the end that it should have costs nothing. One beyond the wrong end is pulled back, which an ordinary
    clamp would not do.
    """
    return _Clamp.apply(x)


def last_layer(layers: nn.Sequential) -> nn.Linear | nn.ConvTranspose2d:
    """Return the last layer with weights of an encoder or decoder."""
    return [layer for layer in layers if isinstance(layer, nn.Linear | nn.ConvTranspose2d)][-1]


def mlp_pca_decoder(shape: Shape, hidden: Sequence[int], latent: int) -> nn.Sequential:
    """(B, latent) → (B, C, H, W), the sum of a linear decoder and an MLP."""
    return nn.Sequential(Sum(mlp_decoder(shape, [], latent), mlp_decoder(shape, hidden, latent)))


def conv_pca_decoder(shape: Shape, hidden: Sequence[int], latent: int) -> nn.Sequential:
    """(B, latent) → (B, C, H, W), the image of a linear decoder with the detail that convolutions add to it."""
    return nn.Sequential(Refined(mlp_decoder(shape, [], latent), conv_refiner(shape, hidden)))


ENCODERS = {"mlp": mlp_encoder, "conv": conv_encoder}
DECODERS = {"mlp": mlp_decoder, "conv": conv_decoder}
PCA_DECODERS = {"mlp": mlp_pca_decoder, "conv": conv_pca_decoder}


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight from torch's default distribution, U(±1/√fan_in), with an explicit generator."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            bound = 1 / sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def _linear_stack(sizes: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return layers[:-1]


def _halvings(shape: Shape, times: int) -> list[tuple[int, int]]:
    """Height and width before and after each of `times` halvings."""
    sizes = [(shape[1], shape[2])]
    for _ in range(times):
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    if min(sizes[-1]) < 1:
        most = min(shape[1:]).bit_length() - 1
        fewer = f"give `hidden` at most {most} {'entry' if most == 1 else 'entries'}, or use " if most > 0 else "use "
        raise UserError(
            f"images of {shape[1]}×{shape[2]} pixels cannot be halved "
            f"{'once' if times == 1 else f'{times} times'}: {fewer}`arch: mlp`."
        )
    return sizes
