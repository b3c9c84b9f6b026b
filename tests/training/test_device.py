import ctypes

import pytest
import torch
from processes import run_python

from autoencoders.errors import UserError
from autoencoders.training.device import describe, resolve_device


@pytest.mark.parametrize(("threads", "words"), [(1, "cpu, 1 thread"), (2, "cpu, 2 threads")])
def test_threads_are_counted_in_words(monkeypatch, threads, words):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert describe(torch.device("cpu")) == words


def test_a_missing_device_is_reported_in_one_line_with_advice_for_clusters(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError) as caught:
        resolve_device("cuda")
    assert str(caught.value) == (
        "device: cuda, but torch sees no CUDA device. Use `auto` or `cpu`; on a cluster, see that the profile asks for "
        "an `accelerator`, and that its nodes have NVIDIA's driver and device plugin."
    )


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc's malloc")
def test_freed_memory_is_kept_for_the_next_step():
    code = (
        "import torch; from resource import RUSAGE_SELF, getrusage; from autoencoders.training.device import *\n"
        "keep_freed_memory()\n"
        "def steps(count): return [len([torch.ones(2**20) for _ in range(8)]) for _ in range(count)]\n"  # 8,192 pages
        "steps(10); before = getrusage(RUSAGE_SELF).ru_minflt; steps(5)\n"
        "print(getrusage(RUSAGE_SELF).ru_minflt - before)"
    )
    faults = int(run_python(code).stdout)
    assert faults < 100  # up to 40,000 otherwise
