"""The training loop: step through shuffled batches; now and then validate, keep the best weights, checkpoint."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from math import ceil, inf, isfinite
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from autoencoders.data.batches import Batches
from autoencoders.errors import UserError, first_line
from autoencoders.models.base import Losses, Model
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.device import autocast, keep_freed_memory, resolve_precision
from autoencoders.training.distributed import SINGLE_PROCESS, Loss, World
from autoencoders.training.optimiser import Adam, learning_rate

if TYPE_CHECKING:
    from autoencoders.params import Train

HistoryRow = dict[str, float]
"""A validation: `step` and `epoch`, `val/*`, and, but at step 0, the learning rate and `train/*` since the last one."""

VALIDATIONS = 20
"""Validations of a training, at even distances, beside that of the untrained model."""
LONG_EPOCH = 100
"""Steps of an epoch from which on each has a validation, however long the training is."""
DECAY = 320
"""Weight decay of the networks that add to PCA, where there are as many latent dimensions as training images.

It grows with the dimensions and falls with the images. Measured on CIFAR-10 (k = 16 and 128), MNIST and sets of 680
images; too much of it costs accuracy where there is much to gain, too little where there is little.
"""
CHECK_EVERY = 100
"""Steps between checks that all losses were finite; the device has skipped the step of one that was not."""
NON_FINITE_HINT = (
    "The last good checkpoint is kept. Try a lower train.learning_rate, a train.grad_clip (1.0, say), train.warmup, or "
    "train.precision: fp32."
)


@dataclass
class Progress:
    """How far a training has come, beside weights, optimiser and generators."""

    step: int = 0
    """Of the last validation."""
    best: float = inf
    best_step: int = 0
    history: list[HistoryRow] = field(default_factory=list)

    @property
    def since_best(self) -> int:
        """The number of validations without a better loss."""
        return sum(row["step"] > self.best_step for row in self.history)


class _State:
    """All that changes during a training: what a checkpoint holds."""

    def __init__(self, model: Model, images: int, seed: int, device: torch.device) -> None:
        self.model = model
        self.optimizer = Adam(model.parameters(), model.decayed(), DECAY * model.latent / images)
        self.noise = torch.Generator(device).manual_seed(seed + 2)
        self.best = {name: value.clone() for name, value in model.state_dict().items()}
        self.progress = Progress()

    def add(self, row: HistoryRow) -> None:
        """Record a validation, and keep the weights if they are the best so far."""
        progress, step = self.progress, int(row["step"])
        if row["val/loss"] < progress.best:
            progress.best, progress.best_step = row["val/loss"], step
            self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
        progress.step = step
        progress.history.append(row)

    def state_dict(self) -> dict[str, Any]:
        return {
            "progress": vars(self.progress),
            "model": self.model.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "noise": self.noise.get_state(),
        }

    def load_state_dict(self, saved: dict[str, Any], source: object) -> None:
        """Take over what `state_dict` returned; raise `UserError`, which names its `source`, where it does not fit."""
        try:
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.best.update({name: value.to(self.best[name].device) for name, value in saved["best"].items()})
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
    on_validation: Callable[[HistoryRow], None] = lambda row: None,
    on_batch: Callable[[], object] = lambda: None,
) -> Progress:
    """Train `model` in place, load the weights of the best validation loss, and return the progress with its history.

    The untrained model is validated, too, and may be the best. Save to `checkpoint` after each validation, and go on
    from `resume`, the state that a checkpoint loaded. In a `world` of several processes, this one computes on its shard
    of every batch; all go on from the main one's `resume` and end with the same weights, and only the main one has a
    `checkpoint`.
    Raise `UserError` where a loss is not finite: before the step or, of the validation, before the checkpoint.
    """
    keep_freed_memory()
    model.to(train.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # convolutions run faster
    state = _State(model, train.images, settings.seed, train.device)
    if saved := world.broadcast(resume):
        state.load_state_dict(saved, checkpoint or "the checkpoint")
    loss = world.wrap(model, make_loss(model, settings, train.device))

    begun = state.progress.step
    batches = train.endless(torch.Generator().manual_seed(settings.seed + 1), begun)
    guard = FiniteGuard(train.device, world, begun)
    for step in islice(validated_steps(settings.steps, len(train)), len(state.progress.history), None):
        if settings.patience and state.progress.since_best >= settings.patience:
            break
        start = time.perf_counter()
        row: HistoryRow = {"step": step, "epoch": step / len(train)}
        if step:
            steps = range(state.progress.step, step)
            row |= _train_steps(steps, state, loss, batches, settings, guard, world, on_batch)
        row |= world.broadcast(validate(model, validation, settings))
        if not isfinite(row["val/loss"]):  # the last step broke the weights: the checkpoint before is the good one
            raise UserError(f"the validation loss became NaN or infinite at step {step}. {NON_FINITE_HINT}")
        row |= {"seconds": time.perf_counter() - start, "timestamp": time.time()}
        state.add(row)
        if checkpoint:
            checkpoint.save(state.state_dict())
        on_validation(row)

    model.load_state_dict(state.best)
    model.eval()
    return state.progress


def validated_steps(steps: int, epoch: int) -> Iterator[int]:
    """Yield the steps after which a training of `steps`, with so many in an `epoch`, is validated: 0 and the last, too.

    They are `VALIDATIONS`, or one each epoch where that is more and an epoch has at least `LONG_EPOCH` steps.
    """
    interval = ceil(steps / VALIDATIONS)
    return chain(range(0, steps, min(interval, epoch) if epoch >= LONG_EPOCH else interval), [steps])


def _train_steps(
    steps: range,
    state: _State,
    loss: Loss,
    batches: Iterator[Tensor],
    settings: "Train",
    guard: "FiniteGuard",
    world: World,
    on_batch: Callable[[], object],
) -> HistoryRow:
    """Take `steps` through the next `batches`; return the last learning rate and the means of the losses."""
    model, sums = state.model, MetricSums()
    model.train()
    for step, x in zip(steps, batches, strict=False):
        rate = learning_rate(settings, step, settings.steps)
        state.optimizer.zero_grad()
        noise = model.sample_noise(len(x), state.noise)
        weights = model.loss_weights((step + 1) / settings.steps)
        losses = loss(world.shard(x), None if noise is None else world.shard(noise), weights)
        (losses["loss"] * world.weight(len(x))).backward()
        watched = [losses["loss"]]
        if settings.grad_clip:
            watched.append(nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip))
        state.optimizer.step(rate, found_inf=guard.update(*watched))
        sums.add(losses, world.count(len(x)))
        on_batch()
        if step % CHECK_EVERY == 0:
            guard.check()
    guard.check()
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
def validate(model: Model, batches: Batches, settings: "Train") -> HistoryRow:
    """Return `val/*` over all of `batches`, with the same noise and the full weights of the loss every time."""
    noise = torch.Generator(batches.device).manual_seed(settings.seed + 3)
    sums = MetricSums()
    model.eval()
    for x in batches.in_order():
        sums.add(model.validation_losses(x, model.sample_noise(len(x), noise)), len(x))
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

    def means(self, prefix: str, world: World = SINGLE_PROCESS) -> HistoryRow:
        """Return the means over all images of all processes; waits for the device."""
        assert self._sums is not None
        images = torch.full_like(self._sums, self._images)
        means = (world.all_reduce_sum(self._sums) / world.all_reduce_sum(images)).tolist()
        return {prefix + name: mean for name, mean in zip(self._names, means, strict=True)}


class FiniteGuard:
    """Records on the device whether a loss or a gradient of any process was not finite, without waiting for it."""

    def __init__(self, device: torch.device, world: World = SINGLE_PROCESS, steps: int = 0) -> None:
        """`steps`: those taken before."""
        self._world = world
        self._found = torch.zeros((), device=device)
        self._good_steps = torch.full((), steps, device=device)

    def update(self, *values: Tensor) -> Tensor:
        """Return 1 where one of these, or one before, is NaN or infinite, else 0: the optimiser's `found_inf`.

        The values are the step's loss and, where it is known, the gradient's norm.
        """
        for value in values:
            self._found = torch.maximum(self._found, (~value.detach().isfinite()).float())
        self._found = self._world.all_reduce_max(self._found)
        self._good_steps = self._good_steps + (self._found == 0)
        return self._found

    def check(self) -> None:
        """Raise `UserError` where a loss was not finite; waits for the device."""
        if self._found.item():
            raise UserError(
                f"the loss or its gradient became NaN or infinite at step {int(self._good_steps.item()) + 1}. "
                f"The step was not taken. {NON_FINITE_HINT}"
            )
