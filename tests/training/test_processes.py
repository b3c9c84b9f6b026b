"""A training on two processes is that of one, but for the order of sums; and can be interrupted like it."""

import os
import subprocess
import sys

import pytest
import torch

from autoencoders.training.processes import Alone, Processes

import divided  # isort: skip

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of two processes has at the end."""
    out = tmp_path_factory.mktemp("divided")
    command = [*TORCHRUN, "2", divided.__file__, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_two_processes_learn_what_one_does(two: list[dict]) -> None:
    alone = divided.trained(Alone(torch.device("cpu")))
    for name, value in alone["weights"].items():
        torch.testing.assert_close(two[0]["whole"]["weights"][name], value, rtol=1e-4, atol=1e-6)
    for row, expected in zip(two[0]["whole"]["history"], alone["history"], strict=True):
        for key in expected.keys() - {"seconds", "timestamp"}:
            assert row[key] == pytest.approx(expected[key], rel=1e-5), key


def test_all_processes_keep_the_same_weights(two: list[dict]) -> None:
    for name, value in two[0]["whole"]["weights"].items():
        assert torch.equal(value, two[1]["whole"]["weights"][name])


def test_an_interrupted_training_ends_with_the_same_bits(two: list[dict]) -> None:
    for result in two:
        assert len(result["resumed"]["history"]) == divided.SETTINGS.epochs
        for name, value in result["whole"]["weights"].items():
            assert torch.equal(value, result["resumed"]["weights"][name])


def test_a_batch_is_divided_without_rest_and_noise_with_it() -> None:
    batch = torch.arange(7.0)[:, None]
    groups = [Processes(torch.device("cpu"), rank, 3) for rank in range(3)]
    parts = [group.part(batch) for group in groups]
    assert torch.equal(torch.cat([images for images, _ in parts]), batch)
    assert [count for _, count in parts] == [2, 2, 3]
    whole = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    noise = [
        group.noise(torch.Generator().manual_seed(0)).normal_like(torch.empty(count, 4))
        for group, (_, count) in zip(groups, parts, strict=True)
    ]
    assert torch.equal(torch.cat(noise), whole)


def test_a_batch_that_is_too_small_gives_a_process_an_image_without_weight() -> None:
    group = Processes(torch.device("cpu"), 0, 2)
    images, count = group.part(torch.ones(1, 3))
    assert (images.shape, count) == ((1, 3), 0)
    weight = torch.tensor(1.0, requires_grad=True)
    group.backward((weight * images).sum())
    assert weight.grad == 0
