"""What all tests share: a tiny data set, tiny models, and MLflow away from the developer's own store.

`prepared`  folder of prepared data: 60 labelled training images of 8×8, 20 for validation, 20 for testing
`params`    the models pca, ae and vae, small enough to train in a tenth of a second
`store`     the test's own MLflow database, a copy of one that was migrated once; `params` brings it along
`trained`   folder with the three models, trained; their runs are in no store that the test can see
`rungs`     folder with the rungs of the ladder, measured of tiny networks; `generation` has nothing to compare
`outputs`   the folders of all stages before the report, for the three models
`client`    MLflow's client of `store`
`clock`     lets time pass that `time.monotonic` tells
`cluster`   starts processes as a cluster starts pods, with an empty volume for their checkpoints
`s3`        address of a real S3 store with an empty bucket, for tests of the marker `cluster`
"""

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models, busy machines
# A test run that a script starts in the background ignores Ctrl-C, and so would the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from tiny_params import LADDER, METRICS, PARAMS, TINY  # noqa: E402

from autoencoders.data.prepared import PreparedData, Split, write_prepared  # noqa: E402
from autoencoders.params import Params, load_params, parse_params  # noqa: E402

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from pods import Cluster

# the same examples in every run, on machines of any speed
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

ROOT = Path(__file__).parents[1]
INHERITED = (
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "DVC_STAGE",
    "DVC_ROOT",
    "DVC_EXP_NAME",
    "KFP_RUN_ID",
    "KFP_TASK",
    "KFP_MLFLOW_CONFIG",
    "KUBERNETES_SERVICE_HOST",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that of two processes neither waits minutes for the other at the end."""
    longest = ("test_pipeline.py", "test_publisher.py")
    items.sort(key=lambda item: longest.index(item.path.name) if item.path.name in longest else len(longest))


@pytest.fixture(autouse=True)
def _signal_handlers() -> Iterator[None]:
    """What a command does with signals ends with its test: else the next one's would end the whole test process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _clean_repository() -> Iterator[None]:
    """No test leaves anything of MLflow's in the repository."""
    before = set(ROOT.glob("ml*"))
    yield
    assert set(ROOT.glob("ml*")) <= before


@pytest.fixture(autouse=True)
def _own_tracking(monkeypatch, tmp_path) -> None:
    """No test writes to the developer's store or joins a run that the shell it was started from is in."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for variable in INHERITED:
        monkeypatch.setenv(variable, "")  # so that what a test's own code sets is taken back
        monkeypatch.delenv(variable)
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "none")  # nor are its models compared with those of params.yaml


@pytest.fixture(scope="session")
def migrated(tmp_path_factory) -> Path:
    """An empty MLflow database: making one takes 8 s, so all processes of a test session share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "migrated"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            from autoencoders import tracking

            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
            tracking.connect()
            (folder / "done").touch()
    return folder / "mlflow.db"


@pytest.fixture
def store(migrated, tmp_path) -> str:
    """The URI of the test's own database, to which MLFLOW_TRACKING_URI points."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def client(store) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(store)


@pytest.fixture
def clock(monkeypatch) -> Callable[[float], None]:
    """Return a function that lets seconds pass."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def passing(seconds: float) -> None:
        now[0] += seconds

    return passing


@pytest.fixture(scope="session")
def s3(tmp_path_factory) -> Iterator[str]:
    from servers import s3_store

    with s3_store(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def cluster(tmp_path, prepared, store) -> "Iterator[Cluster]":
    from pods import Cluster

    (tmp_path / "claim").mkdir()
    cluster = Cluster(tmp_path, prepared, store, str(tmp_path / "claim"))
    yield cluster
    for pod in cluster.pods:
        pod.kill()


@pytest.fixture
def params(store) -> Params:
    return parse_params(PARAMS)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("prepared")
    random = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = np.arange(count) % 3
        images = np.zeros((count, 1, 8, 8))
        for image, label in zip(images, labels, strict=True):
            image[0, :, 2 * label : 2 * label + 3] = random.uniform(0.6, 1)  # a bar whose place is the class
        noisy = (images + random.uniform(0, 0.2, images.shape)).clip(0, 1)
        return Split((255 * noisy).astype(np.uint8), labels.astype(np.int64))

    write_prepared(root, "tiny", {"train": split(60), "val": split(20), "test": split(20)}, ["left", "middle", "right"])
    return root


@pytest.fixture(scope="session")
def _trained_once(migrated, prepared, tmp_path_factory) -> Path:
    from autoencoders.stages.train import train

    root = tmp_path_factory.mktemp("trained")
    shutil.copy(migrated, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
        for variable in INHERITED:
            patch.delenv(variable, raising=False)
        patch.setenv("DVC_EXP_BASELINE_REV", "none")
        for name in PARAMS["models"]:
            folders = {"checkpoints": root / "checkpoints", "out": root / "models" / name}
            train(parse_params(PARAMS), model=name, data=prepared, **folders)
    return root / "models"


@pytest.fixture
def trained(_trained_once, tmp_path) -> Path:
    return Path(shutil.copytree(_trained_once, tmp_path / "models"))


@pytest.fixture(scope="session")
def _rungs_once(prepared, tmp_path_factory) -> Path:
    from autoencoders.ladder.record import RUNGS
    from autoencoders.ladder.run import measure_rung

    root = tmp_path_factory.mktemp("rungs")
    (root / "evaluation" / "ae").mkdir(parents=True)
    (root / "evaluation" / "ae" / "metrics.json").write_text(json.dumps({"mse": 0.01}))
    alone = {"ae": {"kind": "autoencoder", **TINY}}
    params = parse_params({**PARAMS, "models": alone, "ladder": LADDER})
    folders = {"data": prepared, "models": root / "models", "evaluation": root / "evaluation"}
    for name in RUNGS:
        measure_rung(name, params, **folders, out=root / "ladder" / name, tags={"python": "3.11"})
    return root / "ladder"


@pytest.fixture
def rungs(_rungs_once, tmp_path) -> Path:
    return Path(shutil.copytree(_rungs_once, tmp_path / "ladder"))


@pytest.fixture(scope="session")
def repository_params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def outputs(params, prepared, trained, rungs, tmp_path) -> dict[str, Path]:
    """The report's inputs by the names of its arguments, as the stages would leave them."""
    import torch

    from autoencoders.ladder.record import RUNGS, figure_file
    from autoencoders.model_folder import load_trained
    from autoencoders.stages.compare import comparison_table

    data = PreparedData(prepared)
    folders = {name: tmp_path / name for name in ("evaluation", "figures", "comparison")}
    for name in ("data_card", "comparison", "reconstructions", "prediction--vae"):
        _draw(folders["figures"] / f"{name}.png", 1800)
    metrics = {}
    for place, name in enumerate(params.models):
        model = load_trained(trained / name).model
        codes = model.encode(torch.from_numpy(data.split("test").images).float() / 255).detach().numpy()
        (folders["evaluation"] / name / "codes").mkdir(parents=True)
        np.save(folders["evaluation"] / name / "codes" / "test.npy", codes)
        errors = np.linspace(0.5, 0.1, len(codes), dtype=np.float32)
        np.save(folders["evaluation"] / name / "codes" / "errors.npy", errors)
        metrics[name] = {"mse": 0.01 * (3 - place), **METRICS, **({"elbo": -9.0} if name == "vae" else {})}
    folders["comparison"].mkdir()
    comparison_table(params, metrics).to_csv(folders["comparison"] / "comparison.csv")
    for name in RUNGS:
        if name != "generation":
            _draw(figure_file(folders["figures"], name), 400)
    return {"data": prepared, "models": trained, "ladder": rungs, **folders, "out": tmp_path / "reports" / "index.html"}


def _draw(path: Path, width: int) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", (width, 200), "#3f90da").save(path)
