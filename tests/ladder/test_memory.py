import sys

import numpy as np
import pytest
import torch
from processes import run_python
from torch.nn import functional as F

from autoencoders.errors import UserError
from autoencoders.evaluation.reconstruction import psnr
from autoencoders.ladder.memory import Memory, errors, learn, new_decoder, recall


def noise(count: int, shape: tuple[int, int, int] = (1, 8, 8)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def memory_of(images: np.ndarray, *, learned: bool, latent: int = 3, seed: int = 0) -> Memory:
    generator = torch.Generator().manual_seed(seed)
    decoder = new_decoder(images, [6, 4], latent, generator)
    return Memory(torch.randn(len(images), latent, generator=generator), decoder, learned=learned)


def trained(images: np.ndarray, *, learned: bool, steps: int = 20, seed: int = 0) -> tuple[Memory, list[float]]:
    memory = memory_of(images, learned=learned, seed=seed)
    order = torch.Generator().manual_seed(seed)
    losses = learn(memory, images, steps=steps, batch_size=4, rate=0.01, order=order, on_step=lambda: None)
    return memory, [loss.item() for loss in losses]


def test_looking_a_vector_up_is_the_first_layer_of_a_one_hot_input():
    memory = memory_of(noise(5), learned=True)
    which = torch.tensor([3, 0, 3])
    one_hot = F.one_hot(which, 5).float()
    layer = torch.nn.Linear(5, 3, bias=False)
    layer.weight.data = memory.vectors.detach().T
    assert torch.equal(torch.sigmoid(memory.decoder(layer(one_hot))), memory(which))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (3, 7, 9), (1, 4, 13)])
def test_images_of_any_size_are_drawn_in_their_range(shape):
    drawn = recall(memory_of(noise(3, shape), learned=False))
    assert drawn.shape == (3, *shape)
    assert 0 < drawn.min() < drawn.max() < 1


def test_weights_are_those_of_the_decoder():
    linear, first, second = (3 + 1) * 6 * 2 * 2, 6 * 4 * 16 + 4, 4 * 1 * 16 + 1
    assert memory_of(noise(5), learned=True).weights == linear + first + second


def test_vectors_move_only_where_they_are_learned():
    images = noise(6)
    start = memory_of(images, learned=False).vectors
    fixed, moved = trained(images, learned=False)[0], trained(images, learned=True)[0]
    assert torch.equal(fixed.vectors, start)
    assert (moved.vectors != start).all()


def test_equal_seeds_give_equal_weights_and_errors_bit_for_bit():
    (first, losses), (second, again), (_, other) = (trained(noise(6), learned=True, seed=seed) for seed in (0, 0, 1))
    assert losses == again != other
    assert all(torch.equal(left, right) for left, right in zip(first.parameters(), second.parameters(), strict=True))


def test_the_first_error_is_that_of_the_untrained_network():
    images = noise(4)
    before = F.mse_loss(recall(memory_of(images, learned=True)), torch.from_numpy(images) / 255).item()
    _, losses = trained(images, learned=True)
    assert losses[0] == pytest.approx(before, rel=1e-5)
    assert losses[-1] < losses[0]
    assert len(losses) == 20


def test_errors_are_means_over_images():
    images = np.zeros((2, 1, 4, 4), dtype=np.uint8)
    recalled = torch.stack([torch.full((1, 4, 4), 0.1), torch.full((1, 4, 4), 0.01)])
    found = errors(images, recalled)
    assert found["mse"] == pytest.approx((0.01 + 0.0001) / 2)
    assert found["psnr"] == pytest.approx((20 + 40) / 2, abs=1e-4)
    assert found["psnr"] == pytest.approx(psnr(torch.zeros_like(recalled), recalled).mean().item())


def test_too_many_layers_for_the_images_are_a_user_s_matter():
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(
        UserError, match=r"6×9 pixels cannot be halved 3 times.*ladder, at most 2 channels.*\[4, 4, 2\]"
    ):
        new_decoder(noise(1, (1, 6, 9)), [4, 4, 2], 2, generator)


LARGE_IMAGES = """
import resource
import numpy as np, torch
from autoencoders.ladder.memory import Memory, learn, new_decoder

images, generator = np.zeros((128, 3, 64, 64), np.uint8), torch.Generator()
memory = Memory(torch.randn(128, 2), new_decoder(images, [2, 2], 2, generator), learned=True)

def train(steps):
    learn(memory, images, steps=steps, batch_size=128, rate=0.01, order=generator, on_step=lambda: None)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before = train(10)
print(train(70) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_memory_does_not_grow_with_the_steps():
    """A batch of 128 images is 6 MB of float32: a batch a step kept alive would be 360 MB."""
    assert int(run_python(LARGE_IMAGES).stdout) < 100
