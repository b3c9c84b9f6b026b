"""The base of all kinds that are trained in steps: an encoder and a decoder, mirrored around the code."""

from math import prod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from autoencoders.errors import UserError
from autoencoders.models.base import Model
from autoencoders.models.blocks import (
    DECODERS,
    ENCODERS,
    PCA_DECODERS,
    PCA_ENCODERS,
    Centre,
    Scores,
    Shape,
    Sum,
    clamp_pixels,
    initialise,
    last_layer,
    linear_stack,
)

if TYPE_CHECKING:
    from autoencoders.data.principal_components import PrincipalComponents
    from autoencoders.params import models as entries


N_SCORES = 256
"""Principal components on which an mlp works instead of pixels; a longer code has as many."""
MAX_PIXEL_VALUES = 1024
"""Values of an image (C·H·W) above which an mlp that begins at PCA works on scores."""
MAX_MLP_VALUES = 2**15
"""Values of an image above which an mlp on pixels is refused: its first layer alone would have millions of weights."""


class Network(Model):
    """An encoder and a decoder; `generator` draws the initial weights (without it they are torch's).

    Where the entry begins at PCA, encoder and decoder are sums of a linear part and a network. The linear parts begin
    as PCA, the networks at zero: all that training finds is gain. A convolutional decoder network sees the image that
    the linear part makes, others the code. The decoder returns pixels, clamped to [0, 1]. On larger images an mlp
    encodes and decodes the scores of their first principal components.
    Elsewhere there are no linear parts, and the decoder returns the logits of Bernoulli pixels.
    """

    heads: ClassVar[int]  # the encoder's outputs per latent dimension

    def __init__(self, entry: "entries.Network", shape: Shape, generator: torch.Generator | None = None) -> None:
        super().__init__(shape, entry.latent)
        self.logits = not entry.begins_at_pca
        outputs, decoder_hidden = self.heads * entry.latent, entry.decoder_hidden or entry.hidden[::-1]
        if not self.logits and entry.arch == "mlp" and prod(shape) > MAX_PIXEL_VALUES:
            scores = Scores(shape, max(min(N_SCORES, prod(shape)), entry.latent))
            to_codes = [linear_stack([scores.count, *hidden, outputs], True) for hidden in ([], entry.hidden)]
            to_scores = [linear_stack([entry.latent, *hidden, scores.count], True) for hidden in ([], decoder_hidden)]
            self.encoder, self.decoder = nn.Sequential(scores, Sum(*to_codes)), nn.Sequential(Sum(*to_scores))
        else:
            _check_size(entry.arch, shape)
            encoders, decoders = (ENCODERS, DECODERS) if self.logits else (PCA_ENCODERS, PCA_DECODERS)
            self.encoder = encoders[entry.arch](shape, entry.hidden, outputs)
            self.decoder = decoders[entry.arch](shape, decoder_hidden, entry.latent)
        if generator is not None:
            initialise(self, generator)

    @torch.no_grad()
    def initialise(self, components: "PrincipalComponents") -> None:
        """Begin as PCA, or else set the last bias so that the decoder draws about the mean image.

        With the bias, the first steps learn how images differ: −ELBO is 1.6 nats lower after 10 epochs of MNIST.
        """
        mean = torch.from_numpy(components.mean).float()
        if self.logits:
            last, logits = last_layer(self.decoder), torch.logit(mean.view(self.shape), eps=1e-4)
            assert last.bias is not None
            last.bias.copy_(logits.flatten() if isinstance(last, nn.Linear) else logits.mean((1, 2)))
        else:
            first, encoder, decoder = self.encoder[0], self.encoder[1], self.decoder[0]
            assert isinstance(first, Centre | Scores) and isinstance(encoder, Sum) and isinstance(decoder, Sum)
            to_codes, codes, to_pixels = self.linear_start(components.leading(self.latent))
            if isinstance(first, Scores):
                first.initialise(components)
                to_codes = to_codes @ first.directions.T / first.scale
                to_pixels, mean = first.directions @ to_pixels * first.scale, torch.zeros(first.count)
            else:
                first.mean.copy_(mean.view(self.shape))
            encoder.start_linear(to_codes, codes)
            decoder.start_linear(to_pixels, mean)

    def linear_start(self, components: "PrincipalComponents") -> tuple[Tensor, Tensor, Tensor]:
        """Return the linear encoder (outputs, D), its outputs (outputs,) for the mean image, the decoder (D, latent).

        The components are scaled such that the codes of the training images have the variance 1.
        """
        directions = torch.from_numpy(components.directions)
        deviations = torch.from_numpy(components.variances).float().sqrt()[:, None]
        encoder = torch.where(deviations > 0, directions / deviations, 0.0)
        return encoder, torch.zeros(len(directions)), (directions * deviations).T

    @property
    def scores(self) -> Scores | None:
        """What makes scores of images; None where an mlp is small enough for pixels, and for other networks."""
        first = self.encoder[0]
        return first if isinstance(first, Scores) else None

    @property
    def n_components(self) -> int:
        """As many as there are scores of an image."""
        return self.scores.count if self.scores else super().n_components

    @property
    def inputs(self) -> Scores | None:
        """The scores, where there are any."""
        return self.scores

    def decayed(self) -> list[nn.Parameter]:
        """Return the weights of the networks that add to the linear parts."""
        sums = [] if self.logits else [self.encoder[1], self.decoder[0]]
        networks = [part.network for part in sums if isinstance(part, Sum)]
        return [weight for network in networks for weight in network.parameters()]

    def pixels(self, decoded: Tensor) -> Tensor:
        """Return the images in [0, 1] that the decoder's output stands for."""
        return torch.sigmoid(decoded) if self.logits else clamp_pixels(self.unclamped(decoded))

    def unclamped(self, decoded: Tensor) -> Tensor:
        """Return the images, possibly outside [0, 1], that the output of a decoder which begins at PCA stands for."""
        return self.scores.images(decoded) if self.scores else decoded

    def squared_errors(self, decoded: Tensor, x: Tensor) -> Tensor:
        """Return the squared errors (B,), sums over pixels, of what the decoder returned for images or scores x.

        Those of scores leave the clamp out.
        """
        if self.scores and x.dim() == 2:
            return (decoded - x).square().sum(1) / self.scores.scale**2 + self.scores.rest
        return (self.pixels(decoded) - x).square().flatten(1).sum(1)

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, latent) → images (B, C, H, W) in [0, 1]."""
        return self.pixels(self.decoder(z))

    def decoder_layers(self) -> list[nn.Module]:
        """Return the decoder's layers, and what makes their output an image."""
        to_pixels = [self.scores.linear()] if self.scores else []
        return [*self.decoder, *to_pixels, nn.Sigmoid() if self.logits else nn.Hardtanh(0, 1)]


def _check_size(arch: str, shape: Shape) -> None:
    """Raise `UserError` where an mlp would work on too many pixels."""
    if arch == "mlp" and prod(shape) > MAX_MLP_VALUES:
        raise UserError(
            f"`arch: mlp` with Bernoulli pixels is too large for images of {shape[1]}×{shape[2]} pixels, "
            f"{prod(shape):,} values (at most {MAX_MLP_VALUES:,}). Choose `likelihood: gaussian` or `loss: mse`, which "
            "work on principal components, `arch: conv`, or a smaller data.image_size."
        )
