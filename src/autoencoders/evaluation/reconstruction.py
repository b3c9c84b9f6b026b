"""How well images are reconstructed: MSE, BCE, SSIM, PSNR.

The first four functions return one value per image, so every reported number is a mean over images, never a mean of
batch means. Images are float tensors (N, C, H, W) in [0, 1]; reconstructions may leave that range (PCA's do): MSE and
PSNR measure them as they are, BCE and SSIM, which are defined on [0, 1] only, clip them first.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

BCE_EPSILON = 1e-7
"""Probabilities are clamped to [ε, 1-ε] before the logarithm (Keras' ε): a pixel costs at most 16 nats."""
PSNR_FLOOR = 1e-10
"""Lower bound of the MSE in PSNR: a perfect reconstruction has 100 dB. Infinity would dominate the mean."""
SSIM_SIGMA = 1.5
"""Width in pixels of SSIM's Gaussian window (Wang et al. 2004, section III.B), 11x11 once truncated."""


def mse(images: Tensor, recon: Tensor) -> Tensor:
    """Return the squared error per image (N,), mean over pixels and channels."""
    _check(images, recon)
    return (recon.float() - images.float()).square().flatten(1).mean(1)


def bce(images: Tensor, recon: Tensor) -> Tensor:
    """Return the binary cross-entropy per image (N,), in nats, summed over pixels and channels.

    It is -log p(x|recon) of a Bernoulli decoder where pixels are 0 or 1. On grey pixels it is no likelihood: it does
    not integrate to one, and even a perfect reconstruction costs the pixels' own entropy.
    """
    _check(images, recon)
    probability = recon.float().clamp(BCE_EPSILON, 1 - BCE_EPSILON)
    return F.binary_cross_entropy(probability, images.float(), reduction="none").flatten(1).sum(1)


def psnr(images: Tensor, recon: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio per image (N,), in dB: -10 log10(MSE of that image), the peak being 1.

    Averaged over images, as the restoration and compression literature reports it: not the PSNR of the mean MSE, which
    is never larger (Jensen's inequality).
    """
    return -10 * mse(images, recon).clamp(min=PSNR_FLOOR).log10()


def ssim(images: Tensor, recon: Tensor) -> Tensor:
    """Return the structural similarity per image (N,), mean over channels (Wang et al. 2004, eq. 13, K = .01 and .03).

    Borders are reflected and counted, not cropped. Images under 6 pixels high or wide get a narrower window, the widest
    that reflection permits. It equals torchmetrics' SSIM, whose import takes as long as a whole evaluation.
    """
    _check(images, recon)
    count, channels, height, width = images.shape
    # Local variances are small differences of large numbers: float64 on a GPU, whose float32 convolutions may be TF32.
    dtype = torch.float64 if images.is_cuda else torch.float32
    x, y = images.to(dtype), recon.clamp(0, 1).to(dtype)
    vertical, horizontal = (_gaussian(side, dtype, images.device) for side in (height, width))
    margins = [len(horizontal) // 2] * 2 + [len(vertical) // 2] * 2

    def blur(values: Tensor) -> Tensor:
        # All images as the channels of one: a depthwise convolution is five times faster than one over single channels.
        padded = F.pad(values.reshape(1, count * channels, height, width), margins, mode="reflect")
        rows = F.conv2d(padded, vertical.view(1, 1, -1, 1).expand(count * channels, 1, -1, 1), groups=count * channels)
        return F.conv2d(rows, horizontal.view(1, 1, 1, -1).expand(count * channels, 1, 1, -1), groups=count * channels)

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = (blur(x * x) - mean_x**2).clamp(min=0), (blur(y * y) - mean_y**2).clamp(min=0)
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return similarity.reshape(count, -1).mean(1).float()


def reconstruction_metrics(pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[dict[str, float], Tensor]:
    """Return `mse`, `bce`, `ssim`, `psnr`, means over all images of all batches (images, reconstructions).

    With them comes the squared error of each image, float32 (N,) on the CPU.
    Batches may differ in size; sums are kept in float64. Raises `ValueError` where there is no image.
    """
    functions = {"mse": mse, "bce": bce, "ssim": ssim, "psnr": psnr}
    sums = dict.fromkeys(functions, 0.0)
    errors = []
    with torch.no_grad():
        for images, recon in pairs:
            values = {name: function(images, recon) for name, function in functions.items()}
            for name, of_images in values.items():
                sums[name] += float(of_images.double().sum())
            errors.append(values["mse"].cpu())
    if not errors:
        raise ValueError("no images to measure")
    squared_errors = torch.cat(errors)
    return {name: total / len(squared_errors) for name, total in sums.items()}, squared_errors


def _gaussian(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return SSIM's window along a side of `side` pixels: 11 long, or as long as reflection permits."""
    radius = min(math.floor(3.5 * SSIM_SIGMA + 0.5), side - 1)
    sigma = min(SSIM_SIGMA, (radius + 0.4) / 3.5)
    offsets = torch.arange(-radius, radius + 1, dtype=dtype, device=device)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def _check(images: Tensor, recon: Tensor) -> None:
    if images.shape != recon.shape or images.ndim != 4:
        raise ValueError(
            f"images {tuple(images.shape)} and reconstructions {tuple(recon.shape)} must share one shape (N, C, H, W)"
        )
