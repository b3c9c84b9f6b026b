"""Who trains side by side, with what, and how often."""

from typing import Any, NamedTuple

TARGET = 105.2
"""Test −ELBO of pytorch/examples' `vae` on MNIST after its 10 epochs, in nats per image."""
TRAINED_ON = 60_000
"""Images in a full run's epoch."""
OWN = "autoencoders"
MAX_EPOCHS = 15
SHORT_EPOCHS = 2
"""Epochs of a run that measures speed alone; the last is counted."""
OWN_BATCH = 256
"""That of params.yaml."""
RECIPE: dict[str, Any] = {"epochs": 4, "batch_size": OWN_BATCH, "learning_rate": 0.012}
"""What reaches `TARGET` in the fewest seconds, with all else as in params.yaml."""

MLP, CONV = "784-400-20", "conv 32-64, k = 16"
SHORT_IMAGES = {MLP: 20_000, CONV: 4_000}
"""Images in a short run's epoch."""


class Contender(NamedTuple):
    """One network trained by one code."""

    name: str
    group: str
    """Contenders of a group train the same network; the first is what the others are compared with."""
    batch: int
    script: str
    options: dict[str, Any]
    full: str = "never"
    """When it trains until `TARGET` is reached: `always`, `once` (its epochs are then known, and short runs tell the
    time of one) or `never`."""

    def options_of(self, turn: int) -> dict[str, Any]:
        """Return the options of its run in the round `turn`."""
        options = {**self.options, "subject": self.name, "round": turn}
        if self.full == "always" or (self.full == "once" and turn == 1):
            return {**options, "epochs": MAX_EPOCHS, "target": TARGET}
        return {**options, "epochs": SHORT_EPOCHS, "images": SHORT_IMAGES[self.group]}


def _own(group: str, network: str, batch: int) -> Contender:
    options = {"measure": "train", "network": network, "train": {"epochs": SHORT_EPOCHS, "batch_size": batch}}
    return Contender(f"{OWN}, {network}, batch {batch}", group, batch, "speed_own.py", options)


CONTENDERS = (
    Contender("pytorch/examples", MLP, 128, "peers/plain_torch.py", {"network": "examples"}, full="once"),
    Contender("pythae", MLP, 128, "peers/pythae_trainer.py", {}, full="once"),
    Contender("Lightning", MLP, 128, "peers/lightning_trainer.py", {}, full="once"),
    _own(MLP, "mlp", 128),
    _own(MLP, "mlp", OWN_BATCH)._replace(
        name=OWN, options={"measure": "train", "network": "mlp", "train": RECIPE}, full="always"
    ),
    Contender("plain eager loop", CONV, 128, "peers/plain_torch.py", {"network": "conv"}),
    _own(CONV, "conv", 128),
    _own(CONV, "conv", OWN_BATCH),
)
