"""The base of all kinds that are trained in steps: an encoder and a decoder, mirrored around the code."""

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from autoencoders.models.base import Model
from autoencoders.models.blocks import (
    DECODERS,
    ENCODERS,
    PCA_DECODERS,
    Centre,
    Shape,
    Sum,
    clamp_pixels,
    initialise,
    last_layer,
)

if TYPE_CHECKING:
    from autoencoders.data.principal_components import PrincipalComponents
    from autoencoders.params import models as entries


class Network(Model):
    """An encoder and a decoder; `generator` draws the initial weights (without it they are torch's).

    Where the entry begins at PCA, encoder and decoder are sums of a linear part and a network. The linear parts begin
    as PCA, the networks at zero: all that training finds is gain. A convolutional decoder network sees the image that
    the linear part makes, others the code. The decoder returns pixels, clamped to [0, 1].
    Elsewhere there are no linear parts, and the decoder returns the logits of Bernoulli pixels.
    """

    heads: ClassVar[int]  # the encoder's outputs per latent dimension

    def __init__(self, entry: "entries.Network", shape: Shape, generator: torch.Generator | None = None) -> None:
        super().__init__(shape, entry.latent)
        self.logits = not entry.begins_at_pca
        outputs = self.heads * entry.latent
        self.encoder = ENCODERS[entry.arch](shape, entry.hidden, outputs)
        if not self.logits:
            self.encoder = nn.Sequential(Centre(shape), Sum(ENCODERS["mlp"](shape, [], outputs), self.encoder))
        decoders = DECODERS if self.logits else PCA_DECODERS
        self.decoder = decoders[entry.arch](shape, entry.decoder_hidden or entry.hidden[::-1], entry.latent)
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
            centre, encoder, decoder = self.encoder[0], self.encoder[1], self.decoder[0]
            assert isinstance(centre, Centre) and isinstance(encoder, Sum) and isinstance(decoder, Sum)
            to_codes, codes, to_pixels = self.linear_start(components)
            centre.mean.copy_(mean.view(self.shape))
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

    def pixels(self, decoded: Tensor) -> Tensor:
        """Return the images in [0, 1] that the decoder's output stands for."""
        return torch.sigmoid(decoded) if self.logits else clamp_pixels(decoded)

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, latent) → images (B, C, H, W) in [0, 1]."""
        return self.pixels(self.decoder(z))

    def decoder_layers(self) -> list[nn.Module]:
        """Return the decoder's layers, and what makes their output an image."""
        return [*self.decoder, nn.Sigmoid() if self.logits else nn.Hardtanh(0, 1)]
