"""Tests of batches from a memory map that may be larger than memory."""

import mmap

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autoencoders.data import batches as module
from autoencoders.data.batches import Batches

CPU = torch.device("cpu")
PAGE = mmap.PAGESIZE
HEADER = 128  # bytes of the file before the first image
Mapped = np.memmap[tuple[int, ...], np.dtype[np.uint8]]
Calls = list[tuple[int, ...]]


@pytest.fixture
def mapped(tmp_path) -> Mapped:
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 30, 30), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    loaded = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert isinstance(loaded, np.memmap)
    return loaded


@pytest.fixture
def calls(monkeypatch) -> Calls:
    """Return the list of calls of madvise: advice and, of images, start and length. Linux gets them, too."""
    found: Calls = []

    class Map(mmap.mmap):
        def madvise(self, *arguments: int) -> None:
            found.append(arguments)
            super().madvise(*arguments)

    monkeypatch.setattr(mmap, "mmap", Map)
    monkeypatch.setattr(module, "MIN_ADVISED_BYTES", 1)
    return found


def pages(index: int) -> tuple[int, ...]:
    """Return what is advised of the image `index`: the pages from its first byte's on, to its last byte."""
    start = HEADER + index * 900
    return mmap.MADV_WILLNEED, start // PAGE * PAGE, start % PAGE + 900


def shuffled(images: NDArray[np.uint8]) -> list[torch.Tensor]:
    return list(Batches(images, 16, CPU).shuffled(torch.Generator().manual_seed(0)))


def test_a_large_memory_map_gives_the_same_batches(mapped, monkeypatch):
    expected = shuffled(np.array(mapped))
    monkeypatch.setattr(module, "MIN_ADVISED_BYTES", 1)
    found = shuffled(mapped)
    assert [len(batch) for batch in found] == [16, 16, 16, 2]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_images_of_the_next_batch_are_asked_for_while_one_is_used(calls, mapped):
    batches = Batches(mapped, 16, CPU)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0)).tolist()
    epoch = batches.shuffled(torch.Generator().manual_seed(0))
    next(epoch)
    assert calls == [(mmap.MADV_RANDOM,), *(pages(index) for index in order[16:32])]
    assert [len(batch) for batch in epoch] == [16, 16, 2]
    assert calls[1:] == [pages(index) for index in order[16:]]


def test_in_order_linux_may_read_ahead_again(calls, mapped):
    batches = Batches(mapped, 50, CPU)
    for _ in range(2):
        next(batches.shuffled(torch.Generator()))
        next(batches.in_order())
    assert calls == [(mmap.MADV_RANDOM,), (mmap.MADV_NORMAL,)] * 2


def test_a_small_memory_map_and_an_array_are_left_alone(calls, mapped, monkeypatch):
    shuffled(np.array(mapped))
    monkeypatch.setattr(module, "MIN_ADVISED_BYTES", mapped.nbytes + 1)
    shuffled(mapped)
    assert calls == []


def test_images_that_fit_on_the_gpu_are_read_once_and_nothing_is_asked_for_in_a_step(calls, mapped, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 2**30))
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_, **__: self)  # to a GPU that is not there
    batches = list(Batches(mapped, 16, torch.device("cuda")).shuffled(torch.Generator().manual_seed(0)))
    assert [len(batch) for batch in batches] == [16, 16, 16, 2]
    assert calls == []
