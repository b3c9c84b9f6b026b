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
from torch import Tensor

from peers.clock import Measurement, Options, TargetReached, TrainingClock, run_script, training_images
from peers.plain_torch import DenseVae


class _Encoder(BaseEncoder):
    """The first half of `DenseVae`, with names on what it returns."""

    def __init__(self, network: DenseVae) -> None:
        super().__init__()
        self.body, self.mu, self.logvar = network.encoder, network.mu, network.logvar

    def forward(self, x: Tensor) -> ModelOutput:
        hidden = self.body(x)
        return ModelOutput(embedding=self.mu(hidden), log_covariance=self.logvar(hidden))


class _Decoder(BaseDecoder):
    """The second half."""

    def __init__(self, network: DenseVae) -> None:
        super().__init__()
        self.body = network.decoder

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.body(z).reshape(-1, 1, 28, 28))


class _EpochEnd(TrainingCallback):
    """Tells the clock of every epoch's end; the trainer calls it after copying a best model."""

    def __init__(self, clock: TrainingClock) -> None:
        self.clock = clock

    def on_epoch_end(self, training_config: Any, **_: Any) -> None:
        self.clock.epoch_ended()


def train(options: Options) -> list[Measurement]:
    """Train for `epochs`, or until `target` is reached."""
    logging.disable(logging.WARNING)
    images = torch.from_numpy(training_images(options)).float() / 255
    torch.manual_seed(options["round"])
    network = DenseVae()
    clock = TrainingClock(options, network.encode, network.decode)
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
            encoder=_Encoder(network),
            decoder=_Decoder(network),
        )
        trainer = BaseTrainer(model, BaseDataset(images, torch.zeros(len(images))), None, config, [_EpochEnd(clock)])
        clock.start()
        with suppress(TargetReached):
            trainer.train()
    return clock.rows(len(images))


if __name__ == "__main__":
    run_script(train)
