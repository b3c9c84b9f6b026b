"""The whole graph on this machine, without a cluster: each task a subprocess, or a container of the image."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from autoencoders.data.catalog import FOLDER
from autoencoders.data.sources import MIRROR_VARIABLE, chosen_mirror
from autoencoders.errors import UserError
from autoencoders.files.results import replaceable_file
from autoencoders.kubeflow.launch import CHECKPOINTS
from autoencoders.params import Params
from autoencoders.tracking.client import PAGES_VARIABLE, tracking_uri
from components.base import RUNTIME
from pipeline.graph import build
from pipeline.task_lines import line_for_each_task

COMPONENTS = Path(__file__).parents[1] / "components"
PASSED_ON = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "OMP_NUM_THREADS",
             "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_S3_ENDPOINT_URL", PAGES_VARIABLE)  # fmt: skip
"""Variables that a container gets if they are set."""


def run_locally(params: Params, root: Path, image: str | None = None, verbose: bool = False) -> Path:
    """Run the pipeline in containers of `image` or, without one, in subprocesses, and return the report's path.

    Artifacts go below `root`. Print a line for each task or, if `verbose`, all that KFP and the tasks
    print. Raise `UserError` if a task failed.
    """
    from kfp import local

    from autoencoders.stages.report import TITLE

    root = root.absolute()
    replaceable_file(root / "index.html", TITLE.encode())
    root.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault(CHECKPOINTS, str(root / "checkpoints"))
    os.environ.setdefault("MLFLOW_TRACKING_URI", tracking_uri())
    if image:
        params = _with_absolute_folder(params)
        runner: Any = _docker(params, root, image)
    else:
        runner = local.SubprocessRunner(use_venv=False)

    run_id = str(uuid.uuid4())
    print(f"run {run_id}", flush=True)
    run = {"KFP_RUN_ID": run_id, "MLFLOW_EXPERIMENT_NAME": params.tracking.experiment}

    def place_task(stage: str, task: Any) -> None:
        # Also in a notebook on a cluster, a task is not a pod.
        for name, value in {**run, RUNTIME: "true", "KUBERNETES_SERVICE_HOST": ""}.items():
            task.set_env_variable(name, value)
        if image:
            task.set_container_image(image)
        else:  # the components are not where the image has them
            option, file, *rest = task.container_spec.args
            task.container_spec.args = [option, str(COMPONENTS / Path(file).name), *rest]

    before = set(root.glob("*/report/report"))
    local.init(runner=runner, pipeline_root=str(root))
    uri = _tracking_uri(root) if image else tracking_uri()
    with nullcontext() if verbose else line_for_each_task():
        _run(lambda: build(params, place_task)(), {**run, "MLFLOW_TRACKING_URI": uri})
    [report] = set(root.glob("*/report/report")) - before
    return Path(shutil.copy(report, root / "index.html"))


def _run(call: Callable[[], object], environment: dict[str, str]) -> None:
    """Run the pipeline by `call`; end its run in MLflow if no task could, killed or interrupted."""

    def end_run(statement: str) -> None:
        program = f"from autoencoders.tracking import pipeline_run; pipeline_run.{statement}"
        subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, check=False)

    experiment = environment["MLFLOW_EXPERIMENT_NAME"]
    try:
        call()
    except Exception as error:
        plain = re.sub(r"\x1b\[\d+m", "", " ".join(str(error).split())).rstrip(".")
        task = re.search(r"Inner task failed: '([\w-]+)'", plain)
        end_run(f"fail_pipeline({experiment!r}, {task[1] if task else ''!r}, {plain!r})")
        if isinstance(error, RuntimeError):
            raise UserError(f"{plain}. Its output is above.") from None
        raise
    except (KeyboardInterrupt, SystemExit):
        end_run(f"interrupt_pipeline({experiment!r})")
        raise


def _with_absolute_folder(params: Params) -> Params:
    """Return `params` with the absolute path of a folder of images, under which containers see it."""
    if params.data.name != FOLDER:
        return params
    folder = str(Path(params.data.folder).absolute())
    return params.model_copy(update={"data": params.data.model_copy(update={"folder": folder})})


def _docker(params: Params, root: Path, image: str) -> Any:
    """Return a runner whose containers write in `root` and /tmp alone, as this user, see the images, reach MLflow."""
    import docker
    from docker.types import Mount
    from kfp import local

    try:
        found = docker.from_env().images.get(image)
    except docker.errors.ImageNotFound:
        raise UserError(f"Docker has no image {image!r}. Build it with `make image`, or name another.") from None
    except docker.errors.DockerException as error:
        raise UserError(f"Docker does not answer ({' '.join(str(error).split())[:200]}). Start it.") from None
    environment = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    environment |= {CHECKPOINTS: str(root / "checkpoints"), "MLFLOW_TRACKING_URI": _tracking_uri(root)}
    environment["AUTOENCODERS_IMAGE"] = f"{image} ({found.id})"
    mounted = [Path(params.data.folder)] if params.data.name == FOLDER else []
    mirror = chosen_mirror(params.data.mirror)
    if mirror and Path(mirror).is_dir():
        mounted.append(Path(mirror).absolute())
        environment[MIRROR_VARIABLE] = str(mounted[-1])
    arguments: dict[str, Any] = {
        "environment": environment,
        "mounts": [Mount(str(path), str(path), type="bind", read_only=True) for path in mounted],
        "user": f"{os.getuid()}:{os.getgid()}",
        "read_only": True,
        "tmpfs": {"/tmp": ""},
        "shm_size": "1g",
    }
    if urlsplit(environment["MLFLOW_TRACKING_URI"]).hostname in ("localhost", "127.0.0.1"):
        arguments["network_mode"] = "host"
    return local.DockerRunner(**arguments)


def _tracking_uri(root: Path) -> str:
    """Return the server that MLFLOW_TRACKING_URI names, or a database among the artifacts, which containers see."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return uri if uri.startswith(("http://", "https://")) else f"sqlite:///{root / 'mlflow.db'}"
