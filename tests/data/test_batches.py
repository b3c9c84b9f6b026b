"""Tests of batches from a memory map that may be larger than memory."""

import mmap

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autoencoders.data import batches as module
from autoencoders.data.batches import Batches, MapAdvisor

CPU = torch.device("cpu")
PAGE = mmap.PAGESIZE
Mapped = np.memmap[tuple[int, ...], np.dtype[np.uint8]]
Calls = list[tuple[int, int, int]]


@pytest.fixture
def mapped(tmp_path) -> Mapped:
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 30, 30), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    loaded = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert isinstance(loaded, np.memmap)
    return loaded


@pytest.fixture
def calls(monkeypatch) -> Calls:
    """Return the list of calls of madvise: start, length, advice."""
    found: Calls = []

    def keep(self: MapAdvisor, start: int, length: int, advice: int) -> None:
        found.append((start, length, advice))

    monkeypatch.setattr(MapAdvisor, "_call", keep)
    monkeypatch.setattr(module, "MIN_ADVISED_BYTES", 1)
    return found


def shuffled(images: NDArray[np.uint8]) -> list[torch.Tensor]:
    return list(Batches(images, 16, CPU).shuffled(torch.Generator().manual_seed(0)))


def test_a_large_memory_map_gives_the_same_batches(mapped, monkeypatch):
    expected = shuffled(np.array(mapped))
    monkeypatch.setattr(module, "MIN_ADVISED_BYTES", 1)
    found = shuffled(mapped)
    assert [len(batch) for batch in found] == [16, 16, 16, 2]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_images_of_the_next_batch_are_asked_for_while_one_is_used(mapped, calls):
    batches = Batches(mapped, 16, CPU)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0)).tolist()
    address = mapped.ctypes.data
    epoch = batches.shuffled(torch.Generator().manual_seed(0))
    next(epoch)
    assert calls == [
        (address, 50 * 900, mmap.MADV_RANDOM),
        *((address + index * 900, 900, mmap.MADV_WILLNEED) for index in order[16:32]),
    ]
    assert [len(batch) for batch in epoch] == [16, 16, 2]
    assert [start for start, _, _ in calls[1:]] == [address + index * 900 for index in order[16:]]


def test_in_order_linux_may_read_ahead_again(mapped, calls):
    batches = Batches(mapped, 50, CPU)
    for _ in range(2):
        next(batches.shuffled(torch.Generator()))
        next(batches.in_order())
    assert [advice for _, _, advice in calls] == [mmap.MADV_RANDOM, mmap.MADV_NORMAL] * 2


def test_linux_is_advised_of_whole_pages_and_accepts_it(mapped, monkeypatch):
    advisor = MapAdvisor(mapped)
    advise, answers = advisor._advise, []

    def keep(start: int, length: int, advice: int) -> None:
        assert start % PAGE == 0
        answers.append((start, start + length, advise(start, length, advice)))

    monkeypatch.setattr(advisor, "_advise", keep)
    advisor.will_need(torch.tensor([0, 49]))
    first, last = mapped.ctypes.data, mapped.ctypes.data + 49 * 900
    assert [answer for _, _, answer in answers] == [0, 0, 0]
    assert answers[1][0] <= first < first + 900 == answers[1][1]
    assert answers[2][0] <= last < last + 900 == answers[2][1]


def test_a_small_memory_map_and_an_array_are_left_alone(mapped, calls, monkeypatch):
    shuffled(np.array(mapped))
    monkeypatch.setattr(module, "MIN_ADVISED_BYTES", mapped.nbytes + 1)
    shuffled(mapped)
    assert calls == []


def test_images_that_fit_on_the_gpu_are_read_once_and_nothing_is_asked_for_in_a_step(mapped, calls, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 2**30))
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_, **__: self)  # to a GPU that is not there
    batches = list(Batches(mapped, 16, torch.device("cuda")).shuffled(torch.Generator().manual_seed(0)))
    assert [len(batch) for batch in batches] == [16, 16, 16, 2]
    assert calls == []
