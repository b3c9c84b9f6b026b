"""Plain loops in eager float32 torch over images that lie in memory: the Keras script's settings, and a conv VAE.

`keras`: 784-256-2-256-784, batch 100, RMSprop at 1e-3 (ρ .9, ε 1e-7), as Keras' variational-autoencoder script has
them; in torch, since its own framework is not measured here. `conv`: batch 128, Adam at 1e-3.
"""

import torch
from speed_child import Options, Raw, child

from peers.course import Course, images
from peers.networks import ConvVae, DenseVae, PlainVae


def network_of(name: str) -> tuple[PlainVae, torch.optim.Optimizer, int]:
    """Return the network `name`, its optimiser and its batch size."""
    if name == "keras":
        model: PlainVae = DenseVae(256, 2)
        return model, torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9, eps=1e-7), 100
    model = ConvVae(16)
    return model, torch.optim.Adam(model.parameters(), lr=1e-3), 128


def train(options: Options) -> list[Raw]:
    """Train `network` for `epochs`."""
    torch.manual_seed(options["round"])
    model, optimizer, batch = network_of(options["network"])
    of = torch.from_numpy(images(options)).float() / 255
    course = Course(options, model.encode, model.decode)
    course.start()
    for _ in range(options["epochs"]):
        for indices in torch.randperm(len(of)).split(batch):
            x = of[indices]
            optimizer.zero_grad()
            loss = model.loss(x) / len(x)
            loss.backward()
            optimizer.step()
        course.epoch_ended()
    return course.rows(len(of))


if __name__ == "__main__":
    child(train)
