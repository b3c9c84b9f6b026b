"""Train and measure one model as a protocol prescribes, with the project's own models, batches and loop.

Seeds are 0 throughout, matrix products are in float32, every model trains on all training images, and the weights that
are measured are the last ones: nothing is selected.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from autoencoders.data.batches import Batches
from autoencoders.evaluation.likelihood import elbo_terms
from autoencoders.evaluation.reconstruction import mse
from autoencoders.models import PCA, VAE, Model, build
from autoencoders.models.network import Network
from autoencoders.params import Autoencoder, Pca, Train, Vae
from autoencoders.training.loop import Progress, fit

SEED = 0
MEASURED_AT_ONCE = 1000
ENTRIES: dict[str, type[Autoencoder | Vae]] = {"ae": Autoencoder, "vae": Vae}


@dataclass(frozen=True)
class Images:
    """Images uint8 (N, C, H, W): all that there are for training, and the official test images."""

    train: NDArray[np.uint8]
    test: NDArray[np.uint8]


@dataclass(frozen=True)
class Protocol:
    """How a network is trained; learning rate 1e-3 in all of them."""

    hidden: int
    """Width of the one hidden layer, in the encoder and in the decoder."""
    batch_size: int
    epochs: int
    like_keras: bool = False
    """Keras' initial weights and RMSprop, instead of torch's and Adam."""


NETWORKS = {
    "p1": Protocol(hidden=400, batch_size=128, epochs=50),
    "keras": Protocol(hidden=256, batch_size=100, epochs=50, like_keras=True),
    "pytorch": Protocol(hidden=400, batch_size=128, epochs=10),
}


def train(
    protocol: str, model: str, images: NDArray[np.uint8], device: torch.device, epochs: int | None = None
) -> tuple[Model, float]:
    """Return `model` (such as `vae-16`) trained on `images`, and the seconds of training.

    `epochs` other than the protocol's are for tests.
    """
    kind, latent = model.split("-")
    channels, height, width = images.shape[1:]
    generator = torch.Generator().manual_seed(SEED)
    start = time.perf_counter()
    if kind == "pca":
        pca = PCA(Pca(latent=int(latent)), (channels, height, width))
        pca.fit(images)
        return pca, time.perf_counter() - start

    how = NETWORKS[protocol]
    network = build(ENTRIES[kind](latent=int(latent), hidden=[how.hidden]), (channels, height, width), generator)
    assert isinstance(network, Network)
    batches, epochs = Batches(images, how.batch_size, device), epochs or how.epochs
    with tqdm(total=epochs * len(batches), desc=f"{protocol} {model}", unit="step", delay=1, leave=False) as bar:

        def step() -> None:
            bar.update()

        if how.like_keras:
            initialise_glorot(network, generator)
            fit_like_keras(network, batches, epochs, step)
        else:
            settings = Train(seed=SEED, epochs=epochs, batch_size=how.batch_size, learning_rate=1e-3, precision="fp32")
            # Training images, so that the test images are seen once, when all is done; few, so that it costs nothing.
            unused = Batches(images[: how.batch_size], how.batch_size, device)
            fit_to_the_end(network, batches, unused, settings, step)
    return network, time.perf_counter() - start


def fit_to_the_end(
    model: Network,
    batches: Batches,
    validation: Batches,
    settings: Train,
    on_batch: Callable[[], None] = lambda: None,
) -> Progress:
    """Train with the project's loop, but leave `model` with its last weights instead of its best.

    `validation` then has no influence: it takes no part in the steps, and its noise comes from a generator of its own.
    """
    last: dict[str, Tensor] = {}

    def keep(row: dict[str, float]) -> None:
        last.update({name: value.clone() for name, value in model.state_dict().items()})

    progress = fit(model, batches, validation, settings, on_epoch=keep, on_batch=on_batch)
    model.load_state_dict(last)
    return progress


@torch.no_grad()
def initialise_glorot(model: Network, generator: torch.Generator) -> None:
    """Draw weights from U(±√(6 / (fan_in + fan_out))), biases 0 (Glorot & Bengio 2010, eq. 16; Keras' default).

    The VAE's `mu` and `logvar`, two layers in Keras, are one here: each half counts its own outputs only.
    """
    head = [layer for layer in model.encoder if isinstance(layer, nn.Linear)][-1]
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            outputs = layer.out_features // model.heads if layer is head else layer.out_features
            bound = sqrt(6 / (layer.in_features + outputs))
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)


def keras_rmsprop(model: nn.Module) -> torch.optim.RMSprop:
    """Return RMSprop with Keras' defaults: a ← .9 a + .1 g², w ← w - .001 g / (√a + 1e-7)."""
    return torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)


def fit_like_keras(model: Network, batches: Batches, epochs: int, on_batch: Callable[[], None] = lambda: None) -> None:
    """Train with Keras' RMSprop: the project's loop has Adam."""
    model.to(batches.device).train()
    optimizer = keras_rmsprop(model)
    shuffle = torch.Generator().manual_seed(SEED + 1)
    noise = torch.Generator(batches.device).manual_seed(SEED + 2)
    for _ in range(epochs):
        for x in batches.shuffled(shuffle):
            optimizer.zero_grad()
            loss = model.loss(x, model.sample_noise(len(x), noise))["loss"]
            loss.backward()
            optimizer.step()
            on_batch()
        loss.item()  # waits for the device, so that seconds are those of the work
    model.eval()


@torch.inference_mode()
def measure(model: Model, images: NDArray[np.uint8], device: torch.device) -> dict[str, float]:
    """Return `mse` and, of a VAE, `neg_elbo` (one sample of z) and `kl`: means over all `images`."""
    model.to(device)
    noise = torch.Generator(device).manual_seed(SEED)
    values: dict[str, list[Tensor]] = {}
    for x in Batches(images, MEASURED_AT_ONCE, device).in_order():
        values.setdefault("mse", []).append(mse(x, model.decode(model.encode(x))))
        if isinstance(model, VAE):
            terms = elbo_terms(model, x, noise)
            values.setdefault("neg_elbo", []).append(-terms.elbo)
            values.setdefault("kl", []).append(terms.kl)
    return {name: torch.cat(parts).double().mean().item() for name, parts in values.items()}
