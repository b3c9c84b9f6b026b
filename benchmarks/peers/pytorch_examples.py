"""The example `vae` of pytorch/examples, from its description: 784-400-20, DataLoader, batch 128, Adam at 1e-3.

On a CPU its loader works in the training process, and its loss is read after every step.
"""

import torch
from speed_child import Options, Raw, child
from torch.utils.data import DataLoader

from peers.course import Course, Reached, torchvision_set
from peers.networks import DenseVae

BATCH = 128


def train(options: Options) -> list[Raw]:
    """Train for `epochs`, or until `target` is reached."""
    torch.manual_seed(options["round"])
    of = torchvision_set(options)
    loader = DataLoader(of, batch_size=BATCH, shuffle=True)
    model = DenseVae(400, 20)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    course = Course(options, model.encode, model.decode)
    course.start()
    try:
        for _ in range(options["epochs"]):
            model.train()
            total = 0.0
            for x, _ in loader:
                optimizer.zero_grad()
                loss = model.loss(x)
                loss.backward()
                total += loss.item()
                optimizer.step()
            course.epoch_ended()
    except Reached:
        pass
    return course.rows(len(of))  # type: ignore[arg-type]


if __name__ == "__main__":
    child(train)
