"""Where and how to compute: device, precision, determinism."""

import ctypes
import os
import re
from contextlib import AbstractContextManager, nullcontext

import torch

from autoencoders.errors import UserError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of mallopt(3)'s parameters, from glibc's malloc.h


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `cuda:N`; raise `UserError` where there is none of that name."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UserError(f"device: expected auto, cpu, cuda or cuda:N, found {name!r}.")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda"):
        count = torch.cuda.device_count()
        if not torch.cuda.is_available():
            raise UserError(
                f"device: {name}, but torch sees no CUDA device. Use `auto` or `cpu`; on a cluster, see that the "
                "profile asks for an `accelerator`, and that its nodes have NVIDIA's driver and device plugin."
            )
        if torch.device(name).index is not None and torch.device(name).index >= count:
            raise UserError(f"device: {name}, but there are {count} CUDA devices (cuda:0 … cuda:{count - 1}).")
    return torch.device(name)


def resolve_precision(name: str, device: torch.device) -> str:
    """Return `fp32` or `bf16`: `auto` takes bf16 where the matrix units of the device have it."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"  # without AMX, bf16 is slower than fp32 on a CPU


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which matrix products run in `precision`; weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def make_deterministic(device: torch.device) -> None:
    """Ask torch for deterministic algorithms: same machine and parameters, same weights bit for bit.

    On a CPU the operations of this package are deterministic as they are, and the request imports a compiler for 3 s.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS refuses determinism without it
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


def keep_freed_memory() -> None:
    """Make glibc's malloc keep up to 1 GiB of freed memory for the next step instead of returning it to Linux.

    Every step allocates what the previous one freed. Linux clears each page that it hands out again: that is up to
    a sixth of a training on a CPU, and a quarter of an importance-weighted bound. Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the largest that it takes
        mallopt(M_TRIM_THRESHOLD, 2**30)


def describe(device: torch.device, processes: int = 1) -> str:
    """Return the hardware's name, such as `NVIDIA H100`, `4 × NVIDIA H100` or `cpu, 2 threads`."""
    several = "" if processes == 1 else f"{processes} × "
    if device.type == "cuda":
        return several + torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{several}cpu, {threads} thread{'' if threads == 1 else 's'}"
