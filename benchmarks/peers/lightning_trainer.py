"""The network and settings of pytorch/examples' `vae` under Lightning's trainer, its packages' own.

Progress bar, logger, checkpoints and the model's summary are off: they would only slow it.
"""

import logging
import warnings
from contextlib import suppress

import pytorch_lightning as lightning
import torch
from speed_child import Options, Raw, child
from torch import Tensor
from torch.utils.data import DataLoader

from peers.course import Course, Reached, torchvision_set
from peers.networks import DenseVae


class Module(lightning.LightningModule):
    """The VAE, as Lightning wants it; `course` learns of every epoch's end."""

    def __init__(self) -> None:
        super().__init__()
        self.vae = DenseVae(400, 20)
        self.course: Course

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return a batch's loss."""
        return self.vae.loss(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam at 1e-3."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)

    def on_train_epoch_end(self) -> None:
        """Stop the clock."""
        self.course.epoch_ended()


def train(options: Options) -> list[Raw]:
    """Train for `epochs`, or until `target` is reached."""
    warnings.filterwarnings("ignore", module="pytorch_lightning")  # advice to take more workers, which are slower here
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.manual_seed(options["round"])
    of = torchvision_set(options)
    module = Module()
    module.course = Course(options, module.vae.encode, module.vae.decode)
    trainer = lightning.Trainer(
        max_epochs=options["epochs"],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(of, batch_size=128, shuffle=True)
    module.course.start()
    with suppress(Reached):
        trainer.fit(module, loader)
    return module.course.rows(len(of))  # type: ignore[arg-type]


if __name__ == "__main__":
    child(train)
