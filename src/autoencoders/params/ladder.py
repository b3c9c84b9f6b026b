"""The section `ladder`: the rungs from a stored picture to the VAE."""

from typing import Annotated

from pydantic import Field

from autoencoders.params.base import BatchSize, Count, Number, PositiveInts, Rate, Section, Seed


class OneImageRung(Section):
    """Networks that each store one picture."""

    networks: Annotated[list[PositiveInts], Field(min_length=1, max_length=8)] = [[4, 4], [8, 8], [16, 16], [48, 48]]
    steps: Annotated[int, Field(strict=True, ge=10)] = 600
    learning_rate: Rate = 0.003


class OneHotRung(Section):
    """One network for several pictures, each with a one-hot input."""

    counts: PositiveInts = [4, 16, 64, 256]
    latent: Count = 16
    channels: PositiveInts = [16, 8]
    steps: Annotated[int, Field(strict=True, ge=10)] = 300
    learning_rate: Rate = 0.01


class AutoDecoderRung(Section):
    """Random vectors against learned ones."""

    images: Annotated[int, Field(strict=True, ge=2)] = 1024
    latent: Count = 16
    channels: PositiveInts = [32, 16]
    epochs: Count = 40
    batch_size: BatchSize = 64
    learning_rate: Rate = 0.03


class LinearRung(Section):
    """The linear autoencoder beside PCA."""

    latents: PositiveInts = [2, 16]
    epochs: Count = 6
    batch_size: BatchSize = 256
    learning_rate: Rate = 0.01


class GenerationRung(Section):
    """What the autoencoder and the VAE draw."""

    images: Annotated[int, Field(strict=True, ge=4, le=100)] = 36


class BetaRung(Section):
    """One small VAE for each weight of the KL."""

    betas: Annotated[list[Annotated[Number, Field(gt=0, le=1e4)]], Field(min_length=2, max_length=12)] = [
        0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0
    ]  # fmt: skip
    latent: Count = 16
    hidden: PositiveInts = [256]
    decoder_hidden: PositiveInts = [256]
    images: Count = 8_000
    epochs: Count = 5
    batch_size: BatchSize = 128
    learning_rate: Rate = 5e-3


class Ladder(Section):
    """The rungs from a stored picture to the VAE."""

    seed: Seed = 0
    one_image: OneImageRung = OneImageRung()
    one_hot: OneHotRung = OneHotRung()
    auto_decoder: AutoDecoderRung = AutoDecoderRung()
    linear: LinearRung = LinearRung()
    generation: GenerationRung = GenerationRung()
    beta: BetaRung = BetaRung()
