"""A network as a memory: every image has a vector, and one shared decoder draws each image from its vector."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoders.errors import UserError
from autoencoders.evaluation.reconstruction import mse, psnr
from autoencoders.models.blocks import conv_decoder, initialise
from autoencoders.params import Train
from autoencoders.training.optimiser import Adam, learning_rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLOAT32_BYTES = 4  # of a float32
DECODE_BATCH = 256  # images decoded at once by `recall`


def new_decoder(
    images: "NDArray[np.uint8]", channels: Sequence[int], inputs: int, generator: torch.Generator
) -> nn.Sequential:
    """Return an untrained deconvolution network: (B, `inputs`) → logits of images like `images` (N, C, H, W).

    Untrained, it draws about their mean colour. Otherwise the first steps on mostly black images push every layer
    towards black, so far that many ReLUs never fire again.
    Raise `UserError` where height or width cannot be halved once for each entry of `channels`.
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
    """Vectors (N, k), one for each image, and the decoder that draws the images (N, C, H, W) from them.

    With `learned`, the vectors are trained with the decoder; otherwise they are constant.
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
        """Indices of images (B,) → images (B, C, H, W) in [0, 1].

        Looking up row i of the vectors equals multiplying them by the one-hot vector i.
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
    on_step: Callable[[], object],
) -> Tensor:
    """Train `memory` in place to draw `images` (N, C, H, W); return the MSE before each step, float64 (steps,).

    `rate` is Adam's highest learning rate: it rises over the first 5 % of the steps, then falls to zero.
    """
    device = memory.vectors.device
    targets = torch.from_numpy(images).to(device)
    optimizer = Adam(memory.parameters())
    losses = torch.zeros(steps, device=device)  # small tensors kept one by one would fragment the heap: gigabytes
    settings = Train(learning_rate=rate, schedule="cosine", warmup=0.05)
    for step, which in enumerate(islice(_batches(len(images), batch_size, order), steps)):
        chosen = which.to(device)
        loss = F.mse_loss(memory(chosen), targets[chosen].float() / 255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(learning_rate(settings, step, steps))
        losses[step] = loss.detach()
        on_step()
    return losses.double().cpu()


@torch.inference_mode()
def recall(memory: Memory) -> Tensor:
    """Return all images (N, C, H, W) as `memory` draws them, on the CPU."""
    indices = torch.arange(len(memory.vectors), device=memory.vectors.device)
    return torch.cat([memory(batch).cpu() for batch in indices.split(DECODE_BATCH)])


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
