"""How much memory a training takes: of the whole command, over the epochs, and of a set that is larger than memory.

Each question is asked in a process of its own; the options' `question` says which.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speed_child import ROOT, Options, Raw, child

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "vae"
EPOCHS = 30
LIMIT_MB, TIMES_LARGER = 800, 3
LARGER_RUNS = 2
SECONDS = 25.0
"""Of training on the set that is larger than memory, with the limit and without; at most an epoch."""
MEGABYTE = 2**20
CGROUPS = Path("/sys/fs/cgroup")


def command_peak(options: Options) -> list[Raw]:
    """Return the largest resident memory of `autoencoders train`, MLflow and all, for two epochs of MNIST."""
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        raw["models"] = {MODEL: {**raw["models"][MODEL], "train": {"epochs": 2}}}
        params = Path(folder) / "params.yaml"
        params.write_text(yaml.safe_dump(raw), encoding="utf-8")
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        arguments = {
            "--params": params,
            "--model": MODEL,
            "--data": Path(options["data"]) / "mnist" / "prepared",
            "--checkpoints": f"{folder}/checkpoints",
            "--out": f"{folder}/model",
        }
        command = [sys.executable, "-m", "autoencoders", "train", *(str(x) for pair in arguments.items() for x in pair)]
        output = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        pid = os.posix_spawn(command[0], command, environment, file_actions=output)
        _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"autoencoders train ended with {os.waitstatus_to_exitcode(status)}")
    return [Raw("autoencoders train", "peak_mb", 1, used.ru_maxrss / 1024, "-")]


def over_epochs(options: Options) -> list[Raw]:
    """Return the resident memory after epochs of one training."""
    from speed_child import images_of
    from speed_step import CPU, default_settings, network

    from autoencoders.data.batches import Batches
    from autoencoders.training.loop import fit

    images = images_of(options["data"])[0][:6000]
    epochs = options.get("epochs", EPOCHS)
    settings = default_settings(epochs=epochs)
    resident: list[float] = []
    fit(
        network("mlp"),
        Batches(images, settings.batch_size, CPU),
        Batches(images[:1000], 1000, CPU),
        settings,
        on_epoch=lambda row: resident.append(resident_mb()),
    )
    shown = sorted({1, 2, epochs // 3, 2 * epochs // 3, epochs} - {0})
    return [Raw(f"epoch {epoch}", "resident_mb", 1, resident[epoch - 1], "-") for epoch in shown]


def resident_mb() -> float:
    """Return this process's resident memory in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def larger_than_memory(options: Options) -> list[Raw]:
    """Return the speed of training from a memory map, of a file `TIMES_LARGER` times as large as the limit, if any.

    With a `limit_mb` this process may hold so much memory, its share of the disk's cache included, and the file is not
    in the cache at first; without, the whole file is. Raises `OSError` where the limit cannot be set.
    """
    import numpy as np

    path, limit = large_file(options), options.get("limit_mb")
    out_of_cache(path)
    if not limit:
        with path.open("rb") as file:
            while file.read(64 * MEGABYTE):
                pass
        return _rate(np.load(path, mmap_mode="r"), "without a limit", options)
    with memory_limited(limit * MEGABYTE):
        return _rate(np.load(path, mmap_mode="r"), f"limit {limit} MB", options)


def _rate(images: "NDArray[np.uint8]", subject: str, options: Options) -> list[Raw]:
    from peers.course import Reached
    from speed_step import CPU, default_settings, network

    from autoencoders.data.batches import Batches
    from autoencoders.training.device import resolve_precision
    from autoencoders.training.loop import fit

    settings = default_settings(epochs=1)
    size, batches = settings.batch_size, 0
    until = options.get("seconds", SECONDS)
    # Imports and the first steps of a process are paid before the clock starts.
    some = Batches(images[: 4 * size], size, CPU)
    fit(network("mlp", shape=images.shape[1:]), some, some, settings)
    start = time.perf_counter()

    def on_batch() -> None:
        nonlocal batches
        batches += 1
        if time.perf_counter() - start > until:
            raise Reached

    with suppress(Reached):
        fit(
            network("mlp", shape=images.shape[1:]),
            Batches(images, size, CPU),
            Batches(images[:1], 1, CPU),
            settings,
            on_batch=on_batch,
        )
    rate = min(batches * size, len(images)) / (time.perf_counter() - start)
    return [Raw(subject, "images_per_second", options["round"], rate, resolve_precision(settings.precision, CPU))]


def large_file(options: Options) -> Path:
    """Return where the large set lies while it is needed."""
    return Path(options["data"]) / "larger-than-memory.npy"


def write_set(options: Options) -> list[Raw]:
    """Write the large set, MNIST's training images again and again; returns no rows."""
    import numpy as np
    from speed_child import images_of

    images = images_of(options["data"])[0]
    count = TIMES_LARGER * options.get("limit_mb", LIMIT_MB) * MEGABYTE // images[0].size
    shape = (count, *images.shape[1:])
    file = np.lib.format.open_memmap(large_file(options), mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, count, len(images)):
        part = file[start : start + len(images)]
        part[:] = images[: len(part)]
    file.flush()
    return []


def remove_set(options: Options) -> list[Raw]:
    """Remove the large set where there is one; returns no rows."""
    large_file(options).unlink(missing_ok=True)
    return []


def out_of_cache(path: Path) -> None:
    """Ask Linux to drop the file from its cache, so that a process that reads it pays for the memory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


@contextmanager
def memory_limited(limit: int, root: Path = CGROUPS) -> Iterator[None]:
    """Hold this process, and what of files it has in the cache, to `limit` bytes by a control group of its own.

    Raises `OSError` where there is no way: it needs root and Linux' memory controller, of version 1 or 2.
    """
    parent, knobs = _memory_group(root, Path("/proc/self/cgroup").read_text())
    group = parent / f"autoencoders-speed-{os.getpid()}"
    group.mkdir()
    try:
        for knob, value in knobs.items():
            (group / knob).write_text(value.format(limit=limit))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (parent / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def _memory_group(root: Path, membership: str) -> tuple[Path, dict[str, str]]:
    """Return the group that this process is in and the files that set a limit below it: version 1's, else version 2's.

    `membership` is /proc/self/cgroup: lines `number:controllers:path`, of version 2 `0::path`.
    """
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in membership.splitlines())}
    if "memory" in paths:
        return root / "memory" / paths["memory"].lstrip("/"), {"memory.limit_in_bytes": "{limit}"}
    return root / paths.get("", "").lstrip("/"), {"memory.max": "{limit}", "memory.swap.max": "0"}


QUESTIONS: dict[str, Any] = {
    "command": command_peak,
    "epochs": over_epochs,
    "write": write_set,
    "remove": remove_set,
    "larger": larger_than_memory,
}

if __name__ == "__main__":
    child(lambda options: QUESTIONS[options["question"]](options))
