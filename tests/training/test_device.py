import ctypes
from types import SimpleNamespace

import pytest
import torch
from processes import run_python

from autoencoders.errors import UserError
from autoencoders.training.device import (
    autocast,
    describe,
    keep_freed_memory,
    make_deterministic,
    resolve_device,
    resolve_precision,
)


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


@pytest.fixture
def two_gpus(monkeypatch) -> None:
    """What torch says of GPUs, on any machine."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")


def test_a_gpu_is_taken_where_there_is_one_and_a_number_must_exist(two_gpus, monkeypatch):
    assert resolve_device("auto") == torch.device("cuda")
    for name in ("cuda", "cuda:0", "cuda:1", "cpu"):
        assert resolve_device(name) == torch.device(name)
    with pytest.raises(UserError) as caught:
        resolve_device("cuda:2")
    assert str(caught.value) == "device: cuda:2, but there are 2 CUDA devices (cuda:0 … cuda:1)."
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")


def test_gpus_are_named_and_processes_counted(two_gpus):
    assert describe(torch.device("cuda")) == "NVIDIA H100"
    assert describe(torch.device("cuda"), processes=2) == "2 × NVIDIA H100"


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_gpu_computes_in_bf16_from_ampere_on(monkeypatch, capability, precision):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", torch.device("cuda")) == precision


@pytest.mark.parametrize(("has_amx", "precision"), [(True, "bf16"), (False, "fp32")])
def test_a_cpu_computes_in_bf16_where_it_has_matrix_units(monkeypatch, has_amx, precision):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    assert resolve_precision("auto", torch.device("cpu")) == precision
    assert [resolve_precision(name, torch.device("cpu")) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_matrix_products_run_in_the_precision_that_was_chosen(precision, dtype):
    with autocast(precision, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize(("device", "asked"), [("cpu", []), ("cuda", [True])])
def test_deterministic_algorithms_are_asked_of_a_gpu_alone(monkeypatch, device, asked):
    calls: list[bool] = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", calls.append)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    make_deterministic(torch.device(device))
    assert calls == asked
    assert torch.backends.cudnn.benchmark == (not asked)


def test_malloc_is_told_to_keep_a_gibibyte_where_it_can_be_told(monkeypatch):
    told: list[tuple[int, int]] = []
    for library in (SimpleNamespace(mallopt=lambda *option: told.append(option)), SimpleNamespace()):
        monkeypatch.setattr(ctypes, "CDLL", lambda name, library=library: library)
        keep_freed_memory()
    assert told == [(-3, 32 * 1024**2), (-1, 1024**3)]


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
