"""Run by `torchrun` on several processes: fit a VAE, whole and with an interruption; the leader stores both results."""

import sys
from pathlib import Path

import numpy as np
import torch

from autoencoders.data.batches import Batches
from autoencoders.models import build
from autoencoders.params import Train
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.loop import Row, fit
from autoencoders.training.processes import Alone, processes

SETTINGS = Train(epochs=4, batch_size=8, learning_rate=0.01, precision="fp32", grad_clip=1.0)
IMAGES = np.random.default_rng(0).integers(0, 256, (33, 1, 4, 4)).astype(np.uint8)
"""The last of the batches has one image: less than there are processes."""


class Stopped(Exception):
    """In the middle of a training."""


def trained(group: Alone, folder: Path | None = None, stop: int | None = None) -> dict:
    """Weights and history; `stop` is the epoch after which the training breaks off."""
    model = build(
        {"kind": "vae", "arch": "mlp", "latent": 2, "hidden": [8]}, (1, 4, 4), torch.Generator().manual_seed(0)
    )
    device = torch.device("cpu")

    def on_epoch(row: Row) -> None:
        if row["epoch"] == stop:
            raise Stopped

    checkpoint = Checkpoint(folder, "one") if folder and group.leads else None
    if folder:
        folder.mkdir(exist_ok=True)
    batches = Batches(IMAGES, SETTINGS.batch_size, device), Batches(IMAGES, 100, device)
    progress = fit(model, *batches, SETTINGS, checkpoint=checkpoint, group=group, kl_warmup=1, on_epoch=on_epoch)
    return {"weights": model.state_dict(), "history": progress.history}


def main(out: Path) -> None:
    with processes("cpu") as group:
        whole = trained(group)
        try:
            trained(group, out / "checkpoint", stop=2)
        except Stopped:
            resumed = trained(group, out / "checkpoint")
        torch.save({"whole": whole, "resumed": resumed}, out / f"{group.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
