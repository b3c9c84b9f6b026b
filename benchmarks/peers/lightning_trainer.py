"""The network and settings of pytorch/examples' `vae` under Lightning's trainer, its packages' own.

Progress bar, logger, checkpoints and the model's summary are off: they would only slow it.
"""

import logging
import warnings
from contextlib import suppress
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from peers.clock import Measurement, Options, TargetReached, TrainingClock, run_script
from peers.plain_torch import DenseVae, torchvision_set


class _Module(lightning.LightningModule):
    """The VAE, as Lightning wants it; `clock` notes every epoch's end."""

    def __init__(self) -> None:
        super().__init__()
        self.vae = DenseVae()
        self.clock: TrainingClock

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        return self.vae.loss(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)

    def on_train_epoch_end(self) -> None:
        self.clock.epoch_ended()


def train(options: Options) -> list[Measurement]:
    """Train for `epochs`, or until `target` is reached."""
    warnings.filterwarnings("ignore", module="pytorch_lightning")  # advice to take more workers, which are slower here
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.manual_seed(options["round"])
    dataset: Any = torchvision_set(options)
    module = _Module()
    module.clock = TrainingClock(options, module.vae.encode, module.vae.decode)
    trainer = lightning.Trainer(
        max_epochs=options["epochs"],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(dataset, batch_size=128, shuffle=True)
    module.clock.start()
    with suppress(TargetReached):
        trainer.fit(module, loader)
    return module.clock.rows(len(dataset))


if __name__ == "__main__":
    run_script(train)
