"""One training on several processes, a GPU each, as `torchrun` starts them: every batch is divided among them.

All draw the same order and the same noise and keep the same weights. Gradients are means over the whole batch, so the
result is one process's, but for the order of floating-point sums.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from autoencoders.training.device import resolve_device

Loss = Callable[..., dict[str, Tensor]]


class Alone:
    """A training on one process: nothing is divided."""

    rank = 0
    size = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @property
    def leads(self) -> bool:
        """Whether this process logs, saves and reports."""
        return self.rank == 0

    def part(self, batch: Tensor) -> tuple[Tensor, int]:
        """Return this process's images of a batch (B, …), and their number."""
        return batch, len(batch)

    def noise(self, generator: torch.Generator) -> Any:
        """Return what a model draws its noise from."""
        return generator

    def wrapped(self, model: nn.Module, loss: Loss) -> Loss:
        """Return the loss, made to share its gradients."""
        return loss

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the mean over the whole batch."""
        loss.backward()

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over all processes."""
        return value

    def same(self, value: Any) -> Any:
        """Return what the leader has."""
        return value


class Processes(Alone):
    """One of several processes of a training."""

    def __init__(self, device: torch.device, rank: int, size: int) -> None:
        super().__init__(device)
        self.rank, self.size = rank, size
        self._rows, self._batch = slice(0, 0), 0

    def part(self, batch: Tensor) -> tuple[Tensor, int]:
        """Return this process's images; one of no weight where the batch is too small for all."""
        self._batch = len(batch)
        start, stop = (self._batch * index // self.size for index in (self.rank, self.rank + 1))
        self._rows = slice(start, stop)
        return (batch[self._rows], stop - start) if stop > start else (batch[:1], 0)

    def noise(self, generator: torch.Generator) -> "SharedNoise":
        """Return noise of which each process takes its images' rows."""
        return SharedNoise(generator, self)

    def wrapped(self, model: nn.Module, loss: Loss) -> Loss:
        """Return the loss under torch's DistributedDataParallel, which averages gradients over processes."""
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(_Module(model, loss), device_ids=devices)

    def backward(self, loss: Tensor) -> None:
        """Weigh the mean over these images by their share of the batch; DDP divides by the number of processes."""
        images = self._rows.stop - self._rows.start
        (loss * (images * self.size / self._batch)).backward()

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over all processes, the same on each."""
        value = value.detach().clone()
        torch.distributed.all_reduce(value)
        return value

    def same(self, value: Any) -> Any:
        """Return what the leader has, tensors in the host's memory."""
        holder = [value if self.leads else None]
        torch.distributed.broadcast_object_list(holder, src=0)
        return holder[0]

    def rows_of(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the whole batch's noise, one row an image, and return this process's rows, shaped as `like`."""
        drawn = torch.randn((self._batch, *like.shape[1:]), generator=generator, device=like.device, dtype=like.dtype)
        return drawn[self._rows] if self._rows.stop > self._rows.start else drawn[:1]


class SharedNoise:
    """A generator that several processes draw from as one."""

    def __init__(self, generator: torch.Generator, processes: Processes) -> None:
        self._generator, self._processes = generator, processes

    def normal_like(self, like: Tensor) -> Tensor:
        """Return N(0, 1) in the shape of `like` (B, …): the rows of this process's images."""
        return self._processes.rows_of(like, self._generator)


class _Module(nn.Module):
    """A loss as the module that DDP wants; its parameters are the model's."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, *arguments: Any) -> dict[str, Tensor]:
        """Return the losses."""
        return self._loss(*arguments)


@contextmanager
def processes(device: str) -> Iterator[Alone]:
    """Join the processes that `torchrun` started with this one; `device` is the setting of params.yaml."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Alone(resolve_device(device))
        return
    local, chosen = int(os.environ.get("LOCAL_RANK", "0")), resolve_device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(chosen, torch.distributed.get_rank(), size)
    finally:
        torch.distributed.destroy_process_group()
