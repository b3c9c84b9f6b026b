"""A training step that needs nothing from the host, so that a GPU can run it as one graph. See `gpu.py`.

NEVER RUN ON A GPU YET: what a CPU can show of it is tested, capturing and compiling are not.
"""

from collections.abc import Callable
from math import cos, pi

import torch
from torch import Tensor, nn

from autoencoders.models import VAE

WARM_UP = 0.1
"""Share of a training in which the learning rate rises."""


class Training:
    """A network on the device with data resident, and a step that needs nothing from the host: it can be captured.

    A step takes the next `batch` images of `order`, its noise from torch's generator, and its learning rate from
    `rates`, at the place that a counter on the device says.
    """

    def __init__(self, model: VAE, images: Tensor, batch: int, rates: Tensor, compiled: str | None = None) -> None:
        device = images.device
        self.model, self.images, self.batch = model.to(device), images, batch
        if any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
            self.model.to(memory_format=torch.channels_last)
        self.order = torch.randperm(len(images), device=device)
        self.rates, self.taken = rates.to(device), torch.zeros(1, dtype=torch.long, device=device)
        self.rate = torch.zeros((), device=device)
        gpu = device.type == "cuda"
        self.optimizer = torch.optim.Adam(model.parameters(), lr=self.rate, fused=True, capturable=gpu)
        self._places = torch.arange(batch, device=device)
        self._loss = torch.compile(self._plain_loss, mode=compiled) if compiled else self._plain_loss

    def _plain_loss(self, x: Tensor, noise: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.model.loss(x.float() / 255, noise)["loss"]

    def step(self) -> None:
        """Take one step."""
        self.rate.copy_(self.rates.index_select(0, self.taken % len(self.rates))[0])
        indices = self.order.index_select(0, (self.taken * self.batch + self._places) % len(self.order))
        noise = torch.randn(self.batch, self.model.latent, device=self.images.device)
        self.optimizer.zero_grad()
        self._loss(self.images.index_select(0, indices), noise).backward()
        self.optimizer.step()
        self.taken += 1

    def restart(self, weights: dict[str, Tensor]) -> None:
        """Forget all steps, in place: what a captured graph refers to stays where it is."""
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                value.copy_(weights[name])
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()
        self.taken.zero_()


def captured(training: Training) -> Callable[[], None]:
    """Return a call that replays the whole step as one CUDA graph; some steps are taken before."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            training.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    training.optimizer.zero_grad()
    with torch.cuda.graph(graph):
        training.step()
    return graph.replay


def step_of(training: Training, mode: str) -> Callable[[], None]:
    """Return the call that takes a step in the mode `eager`, `graph`, `compile` or `compile+graph`."""
    return captured(training) if "graph" in mode else training.step


def compiled_in(mode: str) -> str | None:
    """Return torch.compile's mode; with a graph around it, it must not make its own."""
    return {"compile": "reduce-overhead", "compile+graph": "default"}.get(mode)


def one_cycle(steps: int, peak: float) -> Tensor:
    """Return the learning rate of every step: up to `peak`, then half a cosine down."""
    rising = max(1, int(WARM_UP * steps))
    down = [peak * 0.5 * (1 + cos(pi * step / (steps - rising))) for step in range(steps - rising)]
    return torch.tensor([peak * (step + 1) / rising for step in range(rising)] + down)
