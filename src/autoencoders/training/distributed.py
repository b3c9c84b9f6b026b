"""Training in several processes, one for each device: each computes on its shard of every batch.

`torchrun --nproc-per-node 2 -m autoencoders train …` starts them. The global batch, its order and its noise are those
of one process, so that the weights are too, but for the order of floating-point sums.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autoencoders.models.base import Losses

WAITING = "waiting"  # what the main process broadcasts repeatedly while it waits itself
Loss = Callable[[Tensor, Tensor | None, Mapping[str, float]], Losses]


@dataclass(frozen=True)
class World:
    """This process among `size` processes; the main one (`rank` 0) also records, stores and reports."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the only process, or the one that reports for all."""
        return self.rank == 0

    def shard(self, rows: Tensor) -> Tensor:
        """Return this process's rows of a batch: every `size`-th. One where the batch has fewer than processes."""
        return rows if self.size == 1 else rows[self.rank % len(rows) :: self.size]

    def count(self, images: int) -> int:
        """Return how many of a batch's `images` are this process's."""
        return len(range(self.rank, images, self.size))

    def weight(self, images: int) -> float:
        """Return the factor of this process's mean loss, so that the mean over processes is the mean over `images`."""
        return self.count(images) * self.size / images

    def broadcast(self, value: Any) -> Any:
        """Return the main process's `value` in all processes: a difference in the last bit would make them diverge."""
        if self.size == 1:
            return value
        holder = [value]
        torch.distributed.broadcast_object_list(holder, src=0)
        return holder[0]

    def wait_for_main(self) -> Any:
        """Return what the main process broadcasts next, other than `WAITING`."""
        while (message := self.broadcast(None)) == WAITING:
            pass
        return message

    def all_reduce_sum(self, value: Tensor) -> Tensor:
        """Return the sum of `value` over all processes."""
        if self.size > 1:
            torch.distributed.all_reduce(value)
        return value

    def all_reduce_max(self, value: Tensor) -> Tensor:
        """Return the largest `value` of all processes, without waiting for the device."""
        if self.size > 1:
            torch.distributed.all_reduce(value, op=torch.distributed.ReduceOp.MAX)
        return value

    def wrap(self, model: nn.Module, loss: Loss) -> Loss:
        """Return `loss`, whose backward pass leaves in `model` the gradients' mean over all processes."""
        if self.size == 1:
            return loss
        from torch.nn.parallel import DistributedDataParallel

        # Buffers stay what `initialise` made them, on all alike.
        return DistributedDataParallel(_Module(model, loss), broadcast_buffers=False)


SINGLE_PROCESS = World()


class _Module(nn.Module):
    """A loss as the forward pass of a module: `DistributedDataParallel` watches nothing else."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, x: Tensor, noise: Tensor | None, weights: Mapping[str, float]) -> Losses:
        return self.loss(x, noise, weights)


@contextmanager
def process_group(device: torch.device) -> Iterator[tuple[World, torch.device]]:
    """Join the other processes that `torchrun` started, if any, and yield this one's `World` and device.

    On GPUs process i of a machine takes `cuda:i`; on CPUs all share the cores.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield SINGLE_PROCESS, device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(torch.distributed.get_rank(), size), device
    finally:
        torch.distributed.destroy_process_group()
