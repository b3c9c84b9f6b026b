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
from autoencoders.models.base import Losses, Model
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.device import autocast, keep_freed_memory, resolve_precision
from autoencoders.training.distributed import SINGLE_PROCESS, Loss, World
from autoencoders.training.optimiser import Adam, learning_rate

if TYPE_CHECKING:
    from autoencoders.params import Train

EpochMetrics = dict[str, float]

CHECK_EVERY = 100
"""Steps between checks that all losses were finite; the device has skipped the step of one that was not."""
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


class _State:
    """All that changes during a training: what a checkpoint holds."""

    def __init__(self, model: Model, seed: int, device: torch.device) -> None:
        self.model = model
        self.optimizer = Adam(model.parameters())
        self.shuffle = torch.Generator().manual_seed(seed + 1)
        self.noise = torch.Generator(device).manual_seed(seed + 2)
        self.best = {name: value.clone() for name, value in model.state_dict().items()}
        self.progress = Progress()

    def add(self, row: EpochMetrics) -> None:
        """Record an epoch, and keep its weights if they are the best so far."""
        progress, epoch = self.progress, int(row["epoch"])
        if row["val/loss"] < progress.best:
            progress.best, progress.best_epoch = row["val/loss"], epoch
            self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
        progress.epoch = epoch
        progress.history.append(row)

    def state_dict(self) -> dict[str, Any]:
        return {
            "progress": vars(self.progress),
            "model": self.model.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "noise": self.noise.get_state(),
        }

    def load_state_dict(self, saved: dict[str, Any], source: object) -> None:
        """Take over what `state_dict` returned; raise `UserError`, which names its `source`, where it does not fit."""
        try:
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.best.update({name: value.to(self.best[name].device) for name, value in saved["best"].items()})
            self.shuffle.set_state(saved["shuffle"])
            self.noise.set_state(saved["noise"])
            self.progress = Progress(**saved["progress"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise UserError(f"{source} is damaged ({first_line(error)}). Delete it to train from the start.") from None


def fit(
    model: Model,
    train: Batches,
    validation: Batches,
    settings: "Train",
    *,
    checkpoint: Checkpoint | None = None,
    resume: dict[str, Any] | None = None,
    world: World = SINGLE_PROCESS,
    on_epoch: Callable[[EpochMetrics], None] = lambda row: None,
    on_batch: Callable[[], object] = lambda: None,
) -> Progress:
    """Train `model` in place, load the weights of the best validation loss, and return the progress with its history.

    Save to `checkpoint` after each epoch, and go on from `resume`, the state that a checkpoint loaded. In a `world` of
    several processes, this one computes on its shard of every batch; all go on from the main one's `resume` and end
    with the same weights, and only the main one has a `checkpoint`.
    Raise `UserError` where a loss is not finite: before the step or, of the validation, before the checkpoint.
    """
    keep_freed_memory()
    model.to(train.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # convolutions run faster
    state = _State(model, settings.seed, train.device)
    if saved := world.broadcast(resume):
        state.load_state_dict(saved, checkpoint or "the checkpoint")
    loss = world.wrap(model, make_loss(model, settings, train.device))

    for epoch in range(state.progress.epoch + 1, settings.epochs + 1):
        if settings.patience and epoch - 1 - state.progress.best_epoch >= settings.patience:
            break
        start = time.perf_counter()
        row = {"epoch": epoch, **_train_epoch(epoch, state, loss, train, settings, world, on_batch)}
        row |= world.broadcast(validate(model, validation, settings))
        if not isfinite(row["val/loss"]):  # the last step broke the weights: the checkpoint before is the good one
            raise UserError(f"the validation loss became NaN or infinite at epoch {epoch}. {NON_FINITE_HINT}")
        row |= {"seconds": time.perf_counter() - start, "timestamp": time.time()}
        state.add(row)
        if checkpoint:
            checkpoint.save(state.state_dict())
        on_epoch(row)

    model.load_state_dict(state.best)
    model.eval()
    return state.progress


def _train_epoch(
    epoch: int,
    state: _State,
    loss: Loss,
    batches: Batches,
    settings: "Train",
    world: World,
    on_batch: Callable[[], object],
) -> EpochMetrics:
    """Step through all `batches`; return the last learning rate and the means of the losses."""
    model, steps = state.model, len(batches)
    weights = model.loss_weights(epoch)
    guard, sums = FiniteGuard(batches.device, world), MetricSums()
    model.train()
    for step, x in enumerate(batches.shuffled(state.shuffle)):
        rate = learning_rate(settings, (epoch - 1) * steps + step, settings.epochs * steps)
        state.optimizer.zero_grad()
        noise = model.sample_noise(len(x), state.noise)
        losses = loss(world.shard(x), None if noise is None else world.shard(noise), weights)
        (losses["loss"] * world.weight(len(x))).backward()
        watched = [losses["loss"]]
        if settings.grad_clip:
            watched.append(nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip))
        state.optimizer.step(rate, found_inf=guard.update(*watched))
        sums.add(losses, world.count(len(x)))
        on_batch()
        if step % CHECK_EVERY == 0:
            guard.check(epoch)
    guard.check(epoch)
    return {"lr": rate, **sums.means("train/", world)}


def make_loss(model: Model, settings: "Train", device: torch.device) -> Loss:
    """Return the model's loss under the chosen precision, compiled where `settings.compile` asks for it."""
    precision = resolve_precision(settings.precision, device)

    def loss(x: Tensor, noise: Tensor | None, weights: Mapping[str, float]) -> Losses:
        with autocast(precision, device):
            return model.loss(x, noise, weights)

    if settings.compile:
        for part in model.children():
            part.compile()
    return loss


@torch.inference_mode()
def validate(model: Model, batches: Batches, settings: "Train") -> EpochMetrics:
    """Return `val/*` over all of `batches`, with the same noise and the full weights of the loss in every epoch."""
    noise = torch.Generator(batches.device).manual_seed(settings.seed + 3)
    sums = MetricSums()
    model.eval()
    for x in batches.in_order():
        losses = model.loss(x, model.sample_noise(len(x), noise), model.loss_weights())
        sums.add({**losses, "mse": F.mse_loss(model(x), x)}, len(x))
    row = sums.means("val/")
    return row | {"val/elbo": -row["val/recon"] - row["val/kl"]} if "val/kl" in row else row


class MetricSums:
    """Sums over images, kept on the device: means over unequal batches weigh every image the same."""

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
    """Records on the device whether a loss or a gradient of any process was not finite, without waiting for it."""

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
