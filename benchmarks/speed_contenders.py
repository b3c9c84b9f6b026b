"""Who trains side by side, with what, and how often."""

import subprocess
import sys
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

from speed_child import Raw

from autoencoders.errors import UserError

TARGET = 105.2
"""Test −ELBO of pytorch/examples' `vae` on MNIST after its 10 epochs, in nats per image."""
TRAINED_ON = 60_000
"""Images in a full run's epoch."""
OWN = "autoencoders"
MOST_EPOCHS = 15
SHORT = 2
"""Epochs of a run that measures speed alone; the last is counted."""
OWN_BATCH = 256
"""That of params.yaml."""
RECIPE: dict[str, Any] = {"epochs": 4, "batch_size": OWN_BATCH, "learning_rate": 0.012}
"""What reaches `TARGET` in the fewest seconds, with all else as in params.yaml."""

PACKAGES = {"pythae": ("pythae==0.1.2", "imageio==2.38.1"), "lightning": ("pytorch-lightning==2.6.6",)}
"""Requirements of peers that run from their own packages; torch and what else they need is the project's."""


MLP, KERAS, CONV = "784-400-20", "784-256-2", "conv 32-64, k = 16"
SHORT_IMAGES = {MLP: 20_000, KERAS: 20_000, CONV: 4_000}
"""Images in a short run's epoch."""


class Contender(NamedTuple):
    """One network trained by one code."""

    name: str
    group: str
    """Contenders of a group train the same network; the first is what the others are compared with."""
    batch: str
    script: str
    options: dict[str, Any]
    package: str | None = None
    full: str = "never"
    """When it trains until `TARGET` is reached: `always`, `once` (its epochs are then known, and short runs tell the
    time of one) or `never`."""

    def options_of(self, turn: int) -> dict[str, Any]:
        """Return the options of its run in the round `turn`."""
        full = self.full == "always" or (self.full == "once" and turn == 1)
        named = {**self.options, "subject": self.name, "round": turn}
        return {**named, "target": TARGET} if full else {**named, "epochs": SHORT, "images": SHORT_IMAGES[self.group]}


def _peer(name: str, group: str, batch: int, script: str, **more: Any) -> Contender:
    return Contender(name, group, str(batch), f"peers/{script}", **more)


def _own(group: str, network: str, batch: int) -> Contender:
    options = {"network": network, "train": {"epochs": SHORT, "batch_size": batch}}
    return Contender(f"{OWN}, {network}, batch {batch}", group, str(batch), "speed_ours.py", options)


CONTENDERS = (
    _peer(
        "pytorch/examples", MLP, 128, "pytorch_examples.py", options={"epochs": MOST_EPOCHS, "at_least": 10},
        full="once",
    ),
    _peer(
        "pythae", MLP, 128, "pythae_trainer.py", options={"epochs": MOST_EPOCHS}, package="pythae", full="once"
    ),
    _peer(
        "Lightning", MLP, 128, "lightning_trainer.py", options={"epochs": MOST_EPOCHS}, package="lightning", full="once"
    ),
    _own(MLP, "mlp", 128),
    Contender(OWN, MLP, str(OWN_BATCH), "speed_ours.py", {"network": "mlp", "train": RECIPE}, full="always"),
    _peer("Keras script's settings", KERAS, 100, "plain_loop.py", options={"network": "keras"}),
    _own(KERAS, "keras", 100),
    _own(KERAS, "keras", OWN_BATCH),
    _peer("plain eager loop", CONV, 128, "plain_loop.py", options={"network": "conv"}),
    _own(CONV, "conv", 128),
    _own(CONV, "conv", OWN_BATCH),
)  # fmt: skip


def race(start: Callable[..., list[Raw]], repeats: int, contenders: tuple[Contender, ...] = CONTENDERS) -> list[Raw]:
    """Return the rows of interleaved runs: A B C A B C …; one of a peer that does not run says why, once."""
    rows: list[Raw] = []
    out: set[str] = set()
    for turn in range(1, repeats + 1):
        for one in contenders:
            if one.name in out:
                continue
            print(f"  round {turn}: {one.name}", file=sys.stderr, flush=True)
            try:
                rows += start(one.script, package=one.package, **one.options_of(turn))
            except UserError as error:
                if one.script == "speed_ours.py":
                    raise
                out.add(one.name)
                rows = [row for row in rows if row.subject != one.name]
                rows.append(Raw(one.name, f"did not run: {error}", turn, nan, "-"))
    return rows


def installed(package: str, folder: Path) -> Path:
    """Return the folder of a peer's own packages, installed there where they are not; raises `UserError`."""
    requirements = PACKAGES[package]
    target = folder / "_".join(requirements)
    if not target.exists():
        draft = folder / f"{package}.part"
        # Without dependencies: they are the project's own, torch above all, which fills gigabytes.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--no-deps", "--target", str(draft)]
        done = subprocess.run([*command, *requirements], capture_output=True, text=True)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
            raise UserError(f"{' '.join(requirements)} cannot be installed: {said[0]}")
        draft.rename(target)
    return target
