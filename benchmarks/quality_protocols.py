"""Train one model as a protocol prescribes, with the project's own models, batches and loop.

Seeds are 0 throughout, matrix products are in float32, every model trains on all training images, and the weights that
are measured are the last ones: nothing is selected.
"""

import time
from math import sqrt
from typing import NamedTuple

import numpy as np
import torch
from common import batch_loss, fit_network, initialise, model_entry, new_model, seeded, steps_of
from numpy.typing import NDArray
from torch import Tensor, nn

from autoencoders.data.batches import Batches
from autoencoders.models import Model
from autoencoders.models.network import Network
from autoencoders.params import Train

SEED = 0
KINDS = {"pca": "pca", "ae": "autoencoder", "vae": "vae"}


class Protocol(NamedTuple):
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
    protocol: str, name: str, images: NDArray[np.uint8], device: torch.device, epochs: int | None = None
) -> tuple[Model, float]:
    """Return the model `name` (such as `vae-16`) trained on `images`, and the seconds of training.

    `epochs` other than the protocol's are for quick runs.
    """
    kind, latent = name.split("-")
    hidden = {} if kind == "pca" else {"hidden": [NETWORKS[protocol].hidden]}
    generator = seeded(SEED)
    model = new_model(model_entry(kind=KINDS[kind], latent=int(latent), **hidden), images.shape[1:], generator)
    start = time.perf_counter()
    if not isinstance(model, Network):
        initialise(model, images)
    elif NETWORKS[protocol].like_keras:
        initialise_glorot(model, generator)
        fit_like_keras(
            model, Batches(images, NETWORKS[protocol].batch_size, device), epochs or NETWORKS[protocol].epochs
        )
    else:
        if not model.logits:  # an autoencoder of squared error begins as PCA
            initialise(model, images)
        fit_to_the_end(model, images, NETWORKS[protocol], device, epochs)
    return model, time.perf_counter() - start


def fit_to_the_end(
    model: Network, images: NDArray[np.uint8], protocol: Protocol, device: torch.device, epochs: int | None = None
) -> None:
    """Train with the project's loop, but leave `model` with its last weights instead of its best.

    Validation then has no influence: it takes no part in the steps, and its noise comes from a generator of its own.
    It is on training images, so that the test images are seen once, when all is done.
    """
    last: dict[str, Tensor] = {}

    def keep(row: dict[str, float]) -> None:
        last.update({name: value.clone() for name, value in model.state_dict().items()})

    size = protocol.batch_size
    steps = steps_of(epochs or protocol.epochs, images, size)
    settings = Train(seed=SEED, steps=steps, batch_size=size, learning_rate=1e-3, precision="fp32")
    fit_network(model, images, settings, device, on_validation=keep)
    model.load_state_dict(last)


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


def fit_like_keras(model: Network, batches: Batches, epochs: int) -> None:
    """Train with Keras' RMSprop: the project's loop has Adam."""
    model.to(batches.device).train()
    optimizer = keras_rmsprop(model)
    shuffle, noise = seeded(SEED + 1), torch.Generator(batches.device).manual_seed(SEED + 2)
    for _ in range(epochs):
        for x in batches.shuffled(shuffle):
            optimizer.zero_grad()
            loss = batch_loss(model, x, noise)
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device, so that seconds are those of the work
    model.eval()
