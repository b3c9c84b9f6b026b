"""The network and settings of pytorch/examples' `vae` under pythae's trainer, the package's own.

The images lie in memory as floats, as its scripts have them. Its trainer copies the model whenever an epoch is the
best, which is part of its time.
"""

import logging
import tempfile
from contextlib import suppress
from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from speed_child import Options, Raw, child
from torch import Tensor

from peers.course import Course, Reached, images
from peers.networks import DenseVae


class Encoder(BaseEncoder):
    """The first half of `DenseVae`, with names on what it returns."""

    def __init__(self, network: DenseVae) -> None:
        super().__init__()
        self.body, self.mu, self.logvar = network.encoder, network.mu, network.logvar

    def forward(self, x: Tensor) -> ModelOutput:
        """Images → mean and log-variance."""
        hidden = self.body(x)
        return ModelOutput(embedding=self.mu(hidden), log_covariance=self.logvar(hidden))


class Decoder(BaseDecoder):
    """The second half."""

    def __init__(self, network: DenseVae) -> None:
        super().__init__()
        self.body = network.decoder

    def forward(self, z: Tensor) -> ModelOutput:
        """Codes → probabilities (B, 1, 28, 28)."""
        return ModelOutput(reconstruction=self.body(z).reshape(-1, 1, 28, 28))


class Clock(TrainingCallback):
    """Tells the course of every epoch's end; the trainer calls it after copying a best model."""

    def __init__(self, course: Course) -> None:
        self.course = course

    def on_epoch_end(self, training_config: Any, **_: Any) -> None:
        """Stop the clock."""
        self.course.epoch_ended()


def train(options: Options) -> list[Raw]:
    """Train for `epochs`, or until `target` is reached."""
    logging.disable(logging.WARNING)
    of = torch.from_numpy(images(options)).float() / 255
    torch.manual_seed(options["round"])
    network = DenseVae(400, 20)
    course = Course(options, network.encode, network.decode)
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=options["epochs"],
            per_device_train_batch_size=128,
            learning_rate=1e-3,
            no_cuda=True,
            seed=options["round"],
        )
        model = VAE(
            VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce"),
            encoder=Encoder(network),
            decoder=Decoder(network),
        )
        trainer = BaseTrainer(model, BaseDataset(of, torch.zeros(len(of))), None, config, [Clock(course)])
        course.start()
        with suppress(Reached):
            trainer.train()
    return course.rows(len(of))


if __name__ == "__main__":
    child(train)
