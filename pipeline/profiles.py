"""Placement profiles: where and how the pipeline's tasks run on a cluster.

`placement/<name>.yaml` holds the settings of all tasks under `default` and those of single stages under `stages`: a
stage's setting replaces the default, except that its `env` adds to it. Unknown keys are refused.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from autoencoders.errors import UserError, suggestion
from autoencoders.params.file import YamlError, read_yaml
from autoencoders.params.problems import format_errors
from components import component_names
from pipeline.times import parse_duration

FOLDER = Path(__file__).parent / "placement"

Quantity = Annotated[
    str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value),
    StringConstraints(pattern=r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"),
]  # fmt: skip
"""A number of CPUs or bytes, as Kubernetes writes it: 2, 500m, 8Gi."""
Duration = Annotated[str, StringConstraints(pattern=r"^[1-9]\d*[smh]$")]
"""A duration: 90s, 15m, 2h."""
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
"""The name of a Kubernetes object."""
Folder = Annotated[str, StringConstraints(pattern=r"^/")]

PENDING_SECONDS = 24 * 3600
"""Seconds for which an attempt may wait for a node; its `timeout` does not count them."""
MAX_ATTEMPT_SECONDS = 30 * 24 * 3600
"""Seconds that an attempt without `timeout` is taken to last at most."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Accelerator(_Strict):
    """GPUs of a pod."""

    type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")] = "nvidia.com/gpu"
    count: Annotated[int, Field(strict=True, ge=1, le=16)] = 1


class Toleration(_Strict):
    """A taint of nodes that a pod tolerates."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    seconds: Annotated[int, Field(ge=0)] | None = Field(default=None, serialization_alias="tolerationSeconds")


class Expression(_Strict):
    """One condition on a node's labels."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = "In"
    values: list[str] = []


class Affinity(_Strict):
    """Nodes that a pod needs, or with a `weight` prefers."""

    expressions: Annotated[list[Expression], Field(min_length=1)]
    weight: Annotated[int, Field(ge=1, le=100)] | None = None


class Volume(_Strict):
    """A persistent volume claim, mounted."""

    claim: Name
    path: Folder
    sub_path: str = ""


class SecretEnv(_Strict):
    """Environment variables from a secret."""

    secret: Name
    keys: dict[str, Variable] = {}
    """Key in the secret → variable. Empty: each key is the variable of its name."""
    optional: bool = False
    """Whether the pod starts without the secret or the keys."""


class Retry(_Strict):
    """How often a task whose pod was lost is tried again; a failed task only if the cluster's admin allows it."""

    attempts: Annotated[int, Field(strict=True, ge=0, le=20)]
    backoff: Duration = "30s"
    """Wait before the second attempt."""
    factor: Annotated[float, Field(ge=1)] = 2.0
    """Factor by which each further wait is longer."""


class Placement(_Strict):
    """Settings of one task; None and empty: the cluster's defaults."""

    cpu: Quantity | None = None
    """Request and limit, and the number of threads: torch would start one for every processor of the node."""
    memory: Quantity | None = None
    """Request and limit."""
    accelerator: Accelerator | None = None
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    affinity: list[Affinity] = []
    shared_memory: Quantity | None = None
    """Size of /dev/shm; the default is 64 MB."""
    volumes: list[Volume] = []
    env: dict[Variable, str] = {}
    secret_env: list[SecretEnv] = []
    image_pull_secrets: list[Name] = []
    retry: Retry | None = None
    timeout: Duration | None = None
    """Of one attempt, from its start on a node; Kubernetes then kills it, and it is not tried again."""

    def deadline(self) -> int | None:
        """Return the limit of all attempts together, in seconds from the first one's start; None without `retry`.

        All attempts fit in, with the waits between them, and a day's wait for a node before each.
        """
        if self.retry is None:
            return None
        waits = sum(parse_duration(self.retry.backoff) * self.retry.factor**n for n in range(self.retry.attempts))
        attempt = parse_duration(self.timeout) if self.timeout else MAX_ATTEMPT_SECONDS
        return int((self.retry.attempts + 1) * (attempt + PENDING_SECONDS) + waits)


class Checkpoints(_Strict):
    """Where trainings store their checkpoints, to resume on another node if they lose theirs."""

    claim: Name | None = None
    path: Folder = "/checkpoints"
    """Where the claim is mounted."""
    url: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*://[^\s/]+\S*$")] | None = None
    """Of an object store, instead of a claim: s3://bucket/prefix."""

    @model_validator(mode="after")
    def _one_place(self) -> "Checkpoints":
        if bool(self.claim) == bool(self.url):
            raise ValueError("name either a `claim` or the `url` of an object store")
        if self.url and "path" in self.model_fields_set:
            raise ValueError("`path` is where a `claim` is mounted; a `url` has none")
        if self.url and re.search(r"://[^/]*:[^/]*@", self.url):
            raise ValueError("no password in `url`: name a secret under `secret_env`")
        return self


class TrainJob(_Strict):
    """Trainings on several nodes, each with the resources of the stage `train`: jobs of Kubeflow Trainer."""

    nodes: Annotated[int, Field(strict=True, ge=1, le=64)]
    runtime: Name = "torch-distributed"


class Profile(_Strict):
    """A whole file."""

    image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+(@sha256:[0-9a-f]{64})?$")]
    """What all tasks run. With its digest (name@sha256:…), KFP may reuse results; a tag may be moved, so nothing is."""
    service_account: Name | None = None
    pipeline_root: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+://\S+$")] | None = None
    """Where artifacts go, such as s3://bucket/path; None: the cluster's default."""
    checkpoints: Checkpoints | None = None
    trainjob: TrainJob | None = None
    """None: a model is trained in its task's pod. Else the claim of `checkpoints` also carries data and model."""
    default: Placement = Placement()
    stages: dict[str, Placement] = {}

    @field_validator("stages")
    @classmethod
    def _known(cls, stages: dict[str, Placement]) -> dict[str, Placement]:
        for stage in stages:
            if stage not in (known := component_names()):
                raise ValueError(f"there is no stage {stage!r}.{suggestion(stage, known)} Known: {', '.join(known)}")
        return stages

    @model_validator(mode="after")
    def _consistent(self) -> "Profile":
        if self.trainjob and not (self.checkpoints and self.checkpoints.claim):
            raise ValueError("trainjob: `checkpoints` must name a `claim`: data and model travel on it, not by a `url`")
        return self

    def of(self, stage: str) -> Placement:
        """Return the settings of one stage."""
        own = self.stages.get(stage, Placement())
        update = {name: getattr(own, name) for name in own.model_fields_set}
        return self.default.model_copy(update={**update, "env": {**self.default.env, **own.env}})


def load_profile(name: str, image: str | None = None) -> Profile:
    """Read the profile `name` of the folder `placement`, or the file of that name; `image` replaces its image.

    Raise `UserError` that lists every problem with its key's path.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    try:
        raw = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(file.stem for file in FOLDER.glob("*.yaml"))
        raise UserError(
            f"there is no placement profile {name!r}.{suggestion(name, known)} Known: {', '.join(known)}, or the path "
            "of a YAML file."
        ) from None
    except (YamlError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} must hold `image`, `default` and `stages`, found {type(raw).__name__}.")
    try:
        return Profile.model_validate({**raw, "image": image} if image else raw)
    except ValidationError as error:
        source = "--image" if image and all(problem["loc"] == ("image",) for problem in error.errors()) else str(path)
        raise UserError(f"{source}: {format_errors(error, Profile, raw)}") from error
