"""How much memory a training takes, and how fast one is whose images do not fit in memory.

Each measure runs in a process of its own, started by `speed.py`. All need Linux; the limit needs root.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch_threads  # noqa: F401  # isort: skip  # before torch

import numpy as np
from common import CACHE, CPU, ROOT, fit_network, train_settings
from numpy.typing import NDArray
from peers.clock import Measurement, Options, TargetReached, run_script, training_images
from speed_own import epoch_settings, network

from autoencoders.training.device import resolve_precision

LIMIT_MB, TIMES_LARGER = 800, 3
SECONDS = 25.0
"""Of training on the set that is larger than memory, with the limit and without."""
MEGABYTE = 2**20
CGROUPS = Path("/sys/fs/cgroup")


def command_peak(options: Options) -> list[Measurement]:
    """Return the largest resident memory of `autoencoders train`, MLflow and all, on the pipeline's data."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "autoencoders", "train", "--params", "params.yaml", "--data", "data/prepared"]
        command += ["--model", "vae", "--checkpoints", f"{folder}/checkpoints", "--out", f"{folder}/model"]
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [Measurement("autoencoders train", "peak_mb", 1, peak, "-")]


def larger_than_memory(options: Options) -> list[Measurement]:
    """Return the speeds of training from a memory map, of a file `TIMES_LARGER` times as large as the limit.

    Without the limit the whole file is in the disk's cache at first. With it nothing is, and this process may hold so
    much memory, its share of the cache included. Raises `OSError` where the limit cannot be set.
    """
    some, limit = training_images(options), LIMIT_MB * MEGABYTE
    times = TIMES_LARGER * limit // some.nbytes
    seconds = 1.0 if options["quick"] else SECONDS
    with tempfile.NamedTemporaryFile(dir=CACHE) as file:
        for _ in range(times):
            some.tofile(file)
        os.fsync(file.fileno())
        images = np.memmap(file.name, np.uint8, mode="r", shape=(times * len(some), *some.shape[1:]))
        speeds = {"without a limit": images_per_second(images, seconds)}
        del images  # what is mapped stays in the cache
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with memory_limited(limit):
            images = np.memmap(file.name, np.uint8, mode="r", shape=(times * len(some), *some.shape[1:]))
            speeds[f"limit {LIMIT_MB} MB"] = images_per_second(images, seconds)
    precision = resolve_precision(train_settings().precision, CPU)
    return [
        Measurement(name, "images_per_second", options["round"], speed, precision) for name, speed in speeds.items()
    ]


def images_per_second(images: NDArray[np.uint8], at_most: float) -> float:
    """Return the speed of an epoch of training, or of as much of it as `at_most` seconds allow."""
    settings, batches = epoch_settings(images, 1), 0
    # Imports and the first steps of a process are paid before the clock starts.
    fit_network(network("mlp"), images[: 4 * settings.batch_size], settings)
    start = time.perf_counter()

    def on_batch() -> None:
        nonlocal batches
        batches += 1
        if time.perf_counter() - start > at_most:
            raise TargetReached

    with suppress(TargetReached):
        fit_network(network("mlp"), images, settings, on_batch=on_batch)
    return min(batches * settings.batch_size, len(images)) / (time.perf_counter() - start)


@contextmanager
def memory_limited(limit: int) -> Iterator[None]:
    """Hold this process, and what of files it has in the cache, to `limit` bytes by a control group of its own.

    Raises `OSError` where there is no way: it needs root and Linux' memory controller, of version 1 or 2.
    """
    first_version = CGROUPS / "memory"
    parent, name = (first_version, "memory.limit_in_bytes") if first_version.is_dir() else (CGROUPS, "memory.max")
    group = parent / f"autoencoders-speed-{os.getpid()}"
    group.mkdir()
    try:
        (group / name).write_text(str(limit))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (parent / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


MEASURES = {"command": command_peak, "larger": larger_than_memory}

if __name__ == "__main__":
    run_script(lambda options: MEASURES[options["measure"]](options))
