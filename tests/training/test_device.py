import ctypes
import subprocess
import sys

import pytest
import torch

from autoencoders.training.device import describe


@pytest.mark.parametrize(("threads", "words"), [(1, "cpu, 1 thread"), (2, "cpu, 2 threads")])
def test_threads_are_counted_in_words(monkeypatch: pytest.MonkeyPatch, threads: int, words: str) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert describe(torch.device("cpu")) == words


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc's malloc")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    code = (
        "import torch; from resource import RUSAGE_SELF, getrusage; from autoencoders.training.device import *\n"
        "keep_freed_memory()\n"
        "def steps(count): return [len([torch.ones(2**20) for _ in range(8)]) for _ in range(count)]\n"  # 8,192 pages
        "steps(10); before = getrusage(RUSAGE_SELF).ru_minflt; steps(5)\n"
        "print(getrusage(RUSAGE_SELF).ru_minflt - before)"
    )
    faults = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert faults < 100  # up to 40,000 otherwise
