"""Encoders and decoders as sequences of layers, every size derived from the image's shape."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod, sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from autoencoders.errors import UserError

if TYPE_CHECKING:
    from autoencoders.data.principal_components import PrincipalComponents

Shape = tuple[int, int, int]  # channels, height, width


class Residual(nn.Module):
    """x + ReLU(linear(x)) (He et al. 2016): a hidden layer that keeps what it is given."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, size) → (B, size)."""
        return x + torch.relu(self.linear(x))


def linear_stack(sizes: Sequence[int], residual: bool = False) -> nn.Sequential:
    """(B, sizes[0]) → (B, sizes[-1]) with ReLU; with `residual`, a hidden layer as wide as the one before is that."""
    *hidden, outputs = sizes
    layers: list[nn.Module] = []
    for depth, (before, after) in enumerate(pairwise(hidden)):
        layers += [Residual(after)] if residual and depth and before == after else [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))


def mlp_encoder(shape: Shape, hidden: Sequence[int], outputs: int, residual: bool = False) -> nn.Sequential:
    """(B, C, H, W) → (B, outputs), the layers of `linear_stack`."""
    return nn.Sequential(nn.Flatten(), *linear_stack([prod(shape), *hidden, outputs], residual))


def mlp_decoder(shape: Shape, hidden: Sequence[int], latent: int, residual: bool = False) -> nn.Sequential:
    """(B, latent) → (B, C, H, W), the layers of `linear_stack`."""
    return nn.Sequential(*linear_stack([latent, *hidden, prod(shape)], residual), nn.Unflatten(1, shape))


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


class Scores(nn.Module):
    """The coordinates of images along their first principal components, scaled such that their mean square is 1.

    The scale makes the learning rate mean the same for images of every size.
    """

    mean: Tensor  # (C, H, W)
    directions: Tensor  # (K, C·H·W), orthonormal rows, or zero beyond the rank of the images
    scale: Tensor  # ()
    rest: Tensor  # (), the mean squared error per training image of its scores

    def __init__(self, shape: Shape, count: int) -> None:
        super().__init__()
        self.count = count
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("directions", torch.zeros(count, prod(shape)))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("rest", torch.zeros(()))

    @torch.no_grad()
    def initialise(self, components: "PrincipalComponents") -> None:
        """Set all of it; there are at least `count` components."""
        kept = components.leading(self.count)
        self.mean.copy_(torch.from_numpy(kept.mean).view_as(self.mean))
        self.directions.copy_(torch.from_numpy(kept.directions))
        self.rest.fill_(kept.rest)
        if total := kept.rest + float(kept.variances.sum()):
            self.scale.fill_(sqrt(self.count / total))

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) → scores (B, K); scores that were computed before pass."""
        return x if x.dim() == 2 else (x - self.mean).flatten(1) @ self.directions.T * self.scale

    def images(self, scores: Tensor) -> Tensor:
        """Scores (B, K) → images (B, C, H, W), possibly outside [0, 1]."""
        return (scores / self.scale @ self.directions).unflatten(1, self.mean.shape) + self.mean

    def linear(self) -> nn.Linear:
        """Return what `images` does as one of torch's layers, the images flattened."""
        return linear_layer((self.directions / self.scale).T, self.mean.flatten())


def linear_layer(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return torch's layer of a `weight` (outputs, inputs) and a `bias` (outputs,)."""
    with torch.device("meta"):  # no initial weights, which torch's global generator would draw
        layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


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


def mlp_pca_encoder(shape: Shape, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """(B, C, H, W) → (B, outputs), the sum of a linear encoder and an MLP.

    Residual layers lower the error here. Alone, without a linear part, a Bernoulli VAE ends worse with them.
    """
    return _beside_linear(shape, mlp_encoder(shape, hidden, outputs, residual=True), outputs)


def conv_pca_encoder(shape: Shape, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """(B, C, H, W) → (B, outputs), the sum of a linear encoder and convolutions."""
    return _beside_linear(shape, conv_encoder(shape, hidden, outputs), outputs)


def mlp_pca_decoder(shape: Shape, hidden: Sequence[int], latent: int) -> nn.Sequential:
    """(B, latent) → (B, C, H, W), the sum of a linear decoder and an MLP."""
    network = mlp_decoder(shape, hidden, latent, residual=True)
    return nn.Sequential(Sum(mlp_decoder(shape, [], latent), network))


def conv_pca_decoder(shape: Shape, hidden: Sequence[int], latent: int) -> nn.Sequential:
    """(B, latent) → (B, C, H, W), the image of a linear decoder with the detail that convolutions add to it."""
    return nn.Sequential(Refined(mlp_decoder(shape, [], latent), conv_refiner(shape, hidden)))


Block = Callable[[Shape, Sequence[int], int], nn.Sequential]
ENCODERS: dict[str, Block] = {"mlp": mlp_encoder, "conv": conv_encoder}
DECODERS: dict[str, Block] = {"mlp": mlp_decoder, "conv": conv_decoder}
PCA_ENCODERS: dict[str, Block] = {"mlp": mlp_pca_encoder, "conv": conv_pca_encoder}
PCA_DECODERS: dict[str, Block] = {"mlp": mlp_pca_decoder, "conv": conv_pca_decoder}


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight from torch's default distribution, U(±1/√fan_in), with an explicit generator."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            bound = 1 / sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def _beside_linear(shape: Shape, network: nn.Sequential, outputs: int) -> nn.Sequential:
    return nn.Sequential(Centre(shape), Sum(mlp_encoder(shape, [], outputs), network))


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
