"""The peers' networks in plain torch, none of this project's code, and plain loops: float32, batch 128, Adam at 1e-3.

`examples`: the example `vae` of pytorch/examples, from its description: 784-400-20, a DataLoader, which on a CPU works
in the training process, and a loss that is read after every step. `conv`: a convolutional VAE, its images in memory.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import torch
from common import CACHE
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from peers.clock import Measurement, Options, TargetReached, TrainingClock, run_script, training_images

BATCH = 128


class PlainVae(nn.Module):
    """A VAE that ends its decoder in a sigmoid and measures the cross-entropy of the probabilities."""

    encoder: nn.Module
    mu: nn.Module
    logvar: nn.Module
    decoder: nn.Module

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images → mean and log-variance (B, k)."""
        hidden = self.encoder(x)
        return self.mu(hidden), self.logvar(hidden)

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, k) → probabilities, an image each."""
        return self.decoder(z)

    def loss(self, x: Tensor) -> Tensor:
        """−ELBO in nats, summed over the batch."""
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        recon = F.binary_cross_entropy(self.decode(z).flatten(1), x.flatten(1), reduction="sum")
        return recon - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


class DenseVae(PlainVae):
    """784-400-20-400-784, ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU())
        self.mu, self.logvar = nn.Linear(400, 20), nn.Linear(400, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())


class ConvVae(PlainVae):
    """Convolutions 4×4 of stride 2, 1-32-64 channels, 28 → 14 → 7 pixels, 16 latent dimensions, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Flatten()
        )
        self.mu, self.logvar = nn.Linear(64 * 7 * 7, 16), nn.Linear(64 * 7 * 7, 16)
        self.decoder = nn.Sequential(
            nn.Linear(16, 64 * 7 * 7),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, 2, 1),
            nn.Sigmoid(),
        )


def torchvision_set(options: Options) -> Dataset[Any]:
    """Return torchvision's MNIST as tutorials use it: an image decoded and scaled whenever it is asked for."""
    from torchvision import transforms
    from torchvision.datasets import MNIST

    root = CACHE / "mnist" / "raw"
    dataset = MNIST(str(root), train=True, download=True, transform=transforms.ToTensor())  # unpacks what is there
    count = len(training_images(options))
    dataset.data, dataset.targets = dataset.data[:count], dataset.targets[:count]
    return dataset


def epochs_of(options: Options) -> Callable[[], Iterable[Tensor]]:
    """Return a call that gives the shuffled batches of an epoch."""
    if options["network"] == "examples":
        loader = DataLoader(torchvision_set(options), batch_size=BATCH, shuffle=True)
        return lambda: (x for x, _ in loader)
    images = torch.from_numpy(training_images(options)).float() / 255
    return lambda: (images[indices] for indices in torch.randperm(len(images)).split(BATCH))


def train(options: Options) -> list[Measurement]:
    """Train `network` for `epochs`, or until `target` is reached."""
    torch.manual_seed(options["round"])
    model: PlainVae = DenseVae() if options["network"] == "examples" else ConvVae()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    epoch = epochs_of(options)
    clock = TrainingClock(options, model.encode, model.decode)
    clock.start()
    with suppress(TargetReached):
        for _ in range(options["epochs"]):
            total = 0.0
            for x in epoch():
                optimizer.zero_grad()
                loss = model.loss(x)
                loss.backward()
                if options["network"] == "examples":
                    total += loss.item()
                optimizer.step()
            clock.epoch_ended()
    return clock.rows(len(training_images(options)))


if __name__ == "__main__":
    run_script(train)
