"""The training loop. One epoch: step through shuffled batches, validate, keep the best weights, checkpoint."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoders.data.batches import Batches
from autoencoders.errors import UserError, first_line
from autoencoders.models.autoencoder import Autoencoder
from autoencoders.training.adam import Adam
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.device import autocast, keep_freed_memory, resolve_precision
from autoencoders.training.distributed import SINGLE_PROCESS, Loss, World
from autoencoders.training.schedule import learning_rate

if TYPE_CHECKING:
    from autoencoders.params import Train

EpochMetrics = dict[str, float]

CHECK_EVERY = 100
"""Steps between looks at whether a loss was finite; the step that was not has been skipped on the device meanwhile."""
NON_FINITE_HINT = (
    "The last good checkpoint is kept. Try a lower train.learning_rate, a train.grad_clip (1.0, say), train.warmup, or "
    "train.precision: fp32."
)


@dataclass
class Progress:
    """How far a training has come, beside weights, optimiser and generators."""

    epoch: int = 0
    best: float = inf
    best_epoch: int = 0
    history: list[EpochMetrics] = field(default_factory=list)


def fit(
    model: Autoencoder,
    train: Batches,
    validation: Batches,
    settings: "Train",
    *,
    beta: float = 1.0,
    kl_warmup: int = 0,
    checkpoint: Checkpoint | None = None,
    resume: dict[str, Any] | None = None,
    world: World = SINGLE_PROCESS,
    on_epoch: Callable[[EpochMetrics], None] = lambda row: None,
    on_batch: Callable[[], object] = lambda: None,
) -> Progress:
    """Train `model` in place, leave it with the weights of the best validation loss, and return how it went.

    Saves to `checkpoint` after each epoch, and goes on from `resume`, what such a one loaded. `kl_warmup` epochs raise
    the KL's weight linearly to `beta`. With a `world`, this process computes on its rows of every batch; all go on from
    the first's `resume` and end with the same weights, and it alone has a `checkpoint`.
    Raises `UserError` where a loss is not finite: before the step or, of the validation, before the checkpoint.
    """
    device = train.device
    keep_freed_memory()
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # convolutions run faster
    optimizer = Adam(model.parameters())
    shuffle = torch.Generator().manual_seed(settings.seed + 1)
    noise = torch.Generator(device).manual_seed(settings.seed + 2)
    best = {name: value.clone() for name, value in model.state_dict().items()}
    progress = Progress()
    if state := world.broadcast(resume):
        try:
            progress = _restore(state, model, optimizer, best, shuffle, noise)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            where = f"{checkpoint} is damaged" if checkpoint else "the checkpoint is damaged"
            raise UserError(f"{where} ({first_line(error)}). Delete it to train from the start.") from None
    run = world.wrap(model, make_loss(model, settings, device))
    steps = len(train)

    for epoch in range(progress.epoch + 1, settings.epochs + 1):
        if settings.patience and epoch - 1 - progress.best_epoch >= settings.patience:
            break
        start = time.perf_counter()
        weight = beta * min(1.0, epoch / (kl_warmup + 1))
        guard, sums = FiniteGuard(device, world), MetricSums()
        model.train()
        for step, x in enumerate(train.shuffled(shuffle)):
            rate = learning_rate(settings, (epoch - 1) * steps + step, settings.epochs * steps)
            optimizer.zero_grad()
            drawn = model.noise(len(x), noise)
            losses = run(world.shard(x), None if drawn is None else world.shard(drawn), weight)
            (losses["loss"] * world.weight(len(x))).backward()
            watched = [losses["loss"]]
            if settings.grad_clip:
                watched.append(nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip))
            optimizer.step(rate, found_inf=guard.update(*watched))
            sums.add(losses, world.count(len(x)))
            on_batch()
            if step % CHECK_EVERY == 0:
                guard.check(epoch)
        guard.check(epoch)
        row = {"epoch": epoch, "lr": rate, **sums.means("train/", world)}
        row |= world.broadcast(validate(model, validation, settings, beta))
        if not isfinite(row["val/loss"]):  # the last step broke the weights: the checkpoint before is the good one
            raise UserError(f"the validation loss became NaN or infinite at epoch {epoch}. {NON_FINITE_HINT}")
        row |= {"seconds": time.perf_counter() - start, "timestamp": time.time()}
        if row["val/loss"] < progress.best:
            progress.best, progress.best_epoch = row["val/loss"], epoch
            best = {name: value.clone() for name, value in model.state_dict().items()}
        progress.epoch = epoch
        progress.history.append(row)
        if checkpoint:
            checkpoint.save(_state(progress, model, optimizer, best, shuffle, noise))
        on_epoch(row)

    model.load_state_dict(best)
    model.eval()
    return progress


def make_loss(model: Autoencoder, settings: "Train", device: torch.device) -> Loss:
    """Return the model's loss under the chosen precision, compiled where `settings.compile` asks for it."""
    precision = resolve_precision(settings.precision, device)

    def loss(x: Tensor, noise: Tensor | None, beta: float) -> dict[str, Tensor]:
        with autocast(precision, device):
            return model.loss(x, noise, beta)

    if settings.compile:
        model.encoder.compile()
        model.decoder.compile()
    return loss


@torch.inference_mode()
def validate(model: Autoencoder, batches: Batches, settings: "Train", beta: float) -> EpochMetrics:
    """Return `val/*` over all of `batches`, with the same noise in every epoch and the full `beta`."""
    noise = torch.Generator(batches.device).manual_seed(settings.seed + 3)
    sums = MetricSums()
    model.eval()
    for x in batches.in_order():
        losses = model.loss(x, model.noise(len(x), noise), beta)
        sums.add({**losses, "mse": F.mse_loss(model.decode(model.encode(x)), x)}, len(x))
    row = sums.means("val/")
    return row | {"val/elbo": -row["val/recon"] - row["val/kl"]} if "val/kl" in row else row


class MetricSums:
    """MetricSums over images, kept on the device: means of unequal batches weigh every image the same."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sums: Tensor | None = None
        self._images = 0

    def add(self, means: Mapping[str, Tensor], images: int) -> None:
        """Add a batch's means over its `images`; the names are the same in every batch."""
        totals = torch.stack([value.detach() for value in means.values()]).double() * images
        self._names, self._sums = list(means), totals if self._sums is None else self._sums + totals
        self._images += images

    def means(self, prefix: str, world: World = SINGLE_PROCESS) -> EpochMetrics:
        """Return the means over all images of all processes; waits for the device."""
        assert self._sums is not None
        images = torch.full_like(self._sums, self._images)
        means = (world.all_reduce_sum(self._sums) / world.all_reduce_sum(images)).tolist()
        return {prefix + name: mean for name, mean in zip(self._names, means, strict=True)}


class FiniteGuard:
    """Remembers on the device whether a loss or a gradient of any process was not finite, without waiting for it."""

    def __init__(self, device: torch.device, world: World = SINGLE_PROCESS) -> None:
        self._world = world
        self._found = torch.zeros((), device=device)
        self._good_steps = torch.zeros((), device=device)

    def update(self, *values: Tensor) -> Tensor:
        """Return 1 where one of these, or one before, is NaN or infinite, else 0: the optimiser's `found_inf`.

        The values are the step's loss and, where it is known, the gradient's norm.
        """
        for value in values:
            self._found = torch.maximum(self._found, (~value.detach().isfinite()).float())
        self._found = self._world.all_reduce_max(self._found)
        self._good_steps = self._good_steps + (1 - self._found)
        return self._found

    def check(self, epoch: int) -> None:
        """Raise `UserError` where a loss was not finite; waits for the device."""
        if self._found.item():
            raise UserError(
                f"the loss or its gradient became NaN or infinite at epoch {epoch}, "
                f"step {int(self._good_steps.item()) + 1}. The step was not taken. {NON_FINITE_HINT}"
            )


def _state(
    progress: Progress,
    model: nn.Module,
    optimizer: Adam,
    best: dict[str, Tensor],
    shuffle: torch.Generator,
    noise: torch.Generator,
) -> dict[str, Any]:
    return {
        "progress": vars(progress),
        "model": model.state_dict(),
        "best": best,
        "optimizer": optimizer.state_dict(),
        "shuffle": shuffle.get_state(),
        "noise": noise.get_state(),
    }


def _restore(
    state: dict[str, Any],
    model: nn.Module,
    optimizer: Adam,
    best: dict[str, Tensor],
    shuffle: torch.Generator,
    noise: torch.Generator,
) -> Progress:
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    best.update({name: value.to(best[name].device) for name, value in state["best"].items()})
    shuffle.set_state(state["shuffle"])
    noise.set_state(state["noise"])
    return Progress(**state["progress"])
