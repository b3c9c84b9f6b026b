"""A network as a memory: every image has a vector, and one decoder with shared weights draws the images from them."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoders.errors import UserError
from autoencoders.evaluation.reconstruction import mse, psnr
from autoencoders.models.blocks import conv_decoder, initialise
from autoencoders.params import Train
from autoencoders.training.adam import Adam
from autoencoders.training.schedule import learning_rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHT_BYTES = 4
"""Of a float32."""
DECODE_BATCH = 256
"""Images drawn at once when all are recalled."""


def new_decoder(
    images: "NDArray[np.uint8]", channels: Sequence[int], inputs: int, generator: torch.Generator
) -> nn.Sequential:
    """Return an untrained deconvolution network: (B, `inputs`) → logits of images like `images` (N, C, H, W).

    It starts with drawing about their mean colour. Without that, the first steps of a training on mostly black images
    push every layer towards black, so far that many ReLUs never fire again.
    Raises `UserError` where height or width cannot be halved once for each entry of `channels`.
    """
    _, depth, height, width = images.shape
    most = min(height, width).bit_length() - 1
    if len(channels) > most:
        raise UserError(
            f"images of {height}×{width} pixels cannot be halved {len(channels)} times: give the networks in "
            f"params.yaml, section ladder, at most {most} channels each, found {list(channels)}"
        )
    decoder = conv_decoder((depth, height, width), channels, inputs)
    initialise(decoder, generator)
    last = decoder[-1]
    assert isinstance(last, nn.ConvTranspose2d) and last.bias is not None
    mean = torch.from_numpy(images.mean(axis=(0, 2, 3)) / 255).float()
    with torch.no_grad():
        last.bias.copy_(torch.logit(mean, eps=1e-4))
    return decoder.to(memory_format=torch.channels_last)  # faster on a CPU


class Memory(nn.Module):
    """Vectors (N, k), one an image, and the decoder that draws the images (N, C, H, W) from them.

    The vectors are learned with the decoder where `learned` says so, and stay as they are where not.
    """

    def __init__(self, vectors: Tensor, decoder: nn.Module, *, learned: bool) -> None:
        super().__init__()
        self.vectors = nn.Parameter(vectors.clone(), requires_grad=learned)
        self.decoder = decoder

    @property
    def weights(self) -> int:
        """Weights of the decoder, which all images share."""
        return sum(weight.numel() for weight in self.decoder.parameters())

    def forward(self, which: Tensor) -> Tensor:
        """Numbers of images (B,) → images (B, C, H, W) in [0, 1].

        Row i of the vectors is the product of the one-hot vector i with all of them: looking it up skips the zeros.
        """
        return torch.sigmoid(self.decoder(self.vectors[which]))


def learn(
    memory: Memory,
    images: "NDArray[np.uint8]",
    *,
    steps: int,
    batch_size: int,
    rate: float,
    order: torch.Generator,
) -> Iterator[Tensor]:
    """Train `memory` in place to draw `images` (N, C, H, W), yielding each step's MSE before that step is taken.

    `rate` is Adam's learning rate at its highest: it rises over the first 5 % of the steps, then falls to zero.
    """
    device = memory.vectors.device
    targets = torch.from_numpy(images).to(device)
    optimizer = Adam(memory.parameters())
    settings = Train(learning_rate=rate, schedule="cosine", warmup=0.05)
    for step, which in enumerate(islice(_batches(len(images), batch_size, order), steps)):
        chosen = which.to(device)
        loss = F.mse_loss(memory(chosen), targets[chosen].float() / 255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(learning_rate(settings, step, steps))
        yield loss.detach()


@torch.inference_mode()
def recall(memory: Memory) -> Tensor:
    """Return all images (N, C, H, W) as `memory` draws them, on the CPU."""
    numbers = torch.arange(len(memory.vectors), device=memory.vectors.device)
    return torch.cat([memory(some).cpu() for some in numbers.split(DECODE_BATCH)])


def errors(images: "NDArray[np.uint8]", recalled: Tensor) -> dict[str, float]:
    """Return `mse` (per pixel) and `psnr` (dB), both means over the images (N, C, H, W)."""
    targets = torch.from_numpy(images).float() / 255
    return {
        "mse": mse(targets, recalled).double().mean().item(),
        "psnr": psnr(targets, recalled).double().mean().item(),
    }


def _batches(count: int, size: int, order: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield from torch.randperm(count, generator=order).split(size)
