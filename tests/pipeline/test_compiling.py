"""The compiled pipeline: valid to the last field, each task placed as its profile says, and nothing stale reused."""

from collections.abc import Callable

import pytest
import yaml
from google.protobuf import json_format

import components
from autoencoders import kubeflow
from autoencoders.params import Params, parse_params
from pipeline.compiling import compile_text
from pipeline.profiles import FOLDER, Profile, load_profile

from compiled import PINNED, ROOT, Compiled, parse  # isort: skip

PROFILES = ("cpu", "gpu", "multi-gpu")
ON_GPU = {"features", "train", "evaluate", "one-image", "one-hot", "auto-decoder", "linear", "generation", "beta"}
Compile = Callable[..., Compiled]


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_gives_a_valid_pipeline_of_every_stage(compiled: Compile, profile: str) -> None:
    """Parsing is the check: protobuf refuses a field that KFP does not know."""
    pipeline = compiled(profile)
    assert (
        pipeline.tasks.keys()
        == pipeline.containers.keys()
        == pipeline.kubernetes.keys()
        == components.COMPONENTS.keys()
    )
    assert {container.image for container in pipeline.containers.values()} == {PINNED}


def test_the_check_refuses_what_kfp_does_not_know(compiled: Compile) -> None:
    text = compiled("gpu").text
    for found, wrong in (("memoryLimit", "memoryLimits"), ("medium: Memory", "mediums: Memory")):
        assert found in text
        with pytest.raises(json_format.ParseError):
            parse(text.replace(found, wrong))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_task_gets_the_resources_of_its_profile(compiled: Compile, profile: str) -> None:
    gpus = {"cpu": {}, "gpu": dict.fromkeys(ON_GPU, "1"), "multi-gpu": {**dict.fromkeys(ON_GPU, "1"), "train": "4"}}
    cpus = {
        "cpu": {"train": "4"},
        "gpu": dict.fromkeys(ON_GPU, "4"),
        "multi-gpu": {**dict.fromkeys(ON_GPU, "4"), "train": "16"},
    }
    memory = {
        "cpu": {"train": "8Gi"},
        "gpu": dict.fromkeys(ON_GPU, "16Gi"),
        "multi-gpu": {**dict.fromkeys(ON_GPU, "16Gi"), "train": "64Gi"},
    }
    for stage, container in compiled(profile).containers.items():
        resources = container.resources
        assert resources.resource_cpu_limit == resources.resource_cpu_request == cpus[profile].get(stage, "2"), stage
        assert resources.resource_memory_limit == resources.resource_memory_request == memory[profile].get(stage, "4Gi")
        assert resources.accelerator.resource_count == gpus[profile].get(stage, ""), stage
        assert resources.accelerator.resource_type == ("nvidia.com/gpu" if stage in gpus[profile] else ""), stage
        assert env_of(container)["OMP_NUM_THREADS"] == cpus[profile].get(stage, "2")


def env_of(container: object) -> dict[str, str]:
    return {one.name: one.value for one in container.env}


@pytest.mark.parametrize("stage", components.COMPONENTS)
def test_a_task_on_gpus_goes_to_gpu_nodes_and_no_other_does(compiled: Compile, stage: str) -> None:
    config = compiled("gpu").kubernetes[stage]
    on_gpu = stage in ON_GPU
    assert dict(config.node_selector.labels) == ({"nvidia.com/gpu.present": "true"} if on_gpu else {})
    tolerated = [(one.key, one.operator, one.effect) for one in config.tolerations]
    assert tolerated == ([("nvidia.com/gpu", "Exists", "NoSchedule")] if on_gpu else [])
    assert [one.weight for one in config.node_affinity] == ([50] if on_gpu else [])
    [shared] = config.empty_dir_mounts
    assert (shared.mount_path, shared.medium, shared.size_limit) == ("/dev/shm", "Memory", "2Gi" if on_gpu else "1Gi")


@pytest.mark.parametrize("profile", PROFILES)
def test_trainings_keep_their_checkpoints_on_a_volume_and_are_tried_again(compiled: Compile, profile: str) -> None:
    pipeline = compiled(profile)
    [mount] = pipeline.kubernetes["train"].pvc_mount
    assert (mount.constant, mount.mount_path) == ("autoencoders-checkpoints", "/checkpoints")
    assert env_of(pipeline.containers["train"])[kubeflow.CHECKPOINTS] == "/checkpoints"
    assert not any(pipeline.kubernetes[stage].pvc_mount for stage in components.COMPONENTS if stage != "train")
    retry = pipeline.tasks["train"].retry_policy
    assert retry.max_retry_count == {"cpu": 4}.get(profile, 6)
    assert (retry.backoff_duration.seconds, retry.backoff_factor, retry.backoff_max_duration.seconds) == (60, 2, 900)
    assert pipeline.kubernetes["train"].active_deadline_seconds == 6 * 3600
    assert pipeline.tasks["compare"].retry_policy.max_retry_count == 2
    assert pipeline.kubernetes["compare"].active_deadline_seconds == 2 * 3600


def test_checkpoints_in_an_object_store_need_no_volume(repository_params: Params) -> None:
    raw = yaml.safe_load((FOLDER / "gpu.yaml").read_text())
    profile = Profile.model_validate({**raw, "checkpoints": {"url": "s3://bucket/prefix"}})
    pipeline = parse(compile_text(profile, repository_params))
    assert env_of(pipeline.containers["train"])[kubeflow.CHECKPOINTS] == "s3://bucket/prefix"
    assert not any(config.pvc_mount for config in pipeline.kubernetes.values())
    keys = {one.env_var for secret in pipeline.kubernetes["train"].secret_as_env for one in secret.key_to_env}
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_S3_ENDPOINT_URL"} <= keys


def test_every_task_knows_its_run_its_image_its_experiment_and_the_tracking_server(compiled: Compile) -> None:
    pipeline = compiled("cpu")
    for stage, config in pipeline.kubernetes.items():
        assert [(one.name, one.field_path) for one in config.field_path_as_env] == [
            ("KFP_RUN_ID", "metadata.labels['pipeline/runid']")
        ]
        env = env_of(pipeline.containers[stage])
        assert (env["KFP_TASK"], env["AUTOENCODERS_IMAGE"]) == (stage, PINNED)
        assert env["MLFLOW_EXPERIMENT_NAME"] == "autoencoders"
        secrets = {one.secret_name: one for one in config.secret_as_env}
        assert [one.env_var for one in secrets["mlflow"].key_to_env] == ["MLFLOW_TRACKING_URI"]
        assert (secrets["mlflow"].optional, secrets["mlflow-login"].optional, secrets["s3"].optional) == (0, 1, 1)


def cached(pipeline: Compiled) -> set[str]:
    return {stage for stage, task in pipeline.tasks.items() if task.caching_options.enable_cache}


def test_results_are_reused_only_where_the_key_says_all(
    compiled: Compile, repository_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KFP's key holds the image's name, parameters and artifacts' names; not what a tag points to, nor contents."""
    assert cached(compiled("gpu")) == components.COMPONENTS.keys() - {"report"}
    assert cached(compiled("gpu", "registry.example/autoencoders:0.1.0")) == set()
    assert cached(compiled("gpu", PINNED, cache=False)) == set()
    raw = repository_params.model_dump(mode="json", exclude_none=True)
    raw["data"] = {"name": "folder", "folder": "/data/pictures"}
    own = parse(compile_text(load_profile("gpu", PINNED), parse_params(raw)))
    assert cached(own) == components.COMPONENTS.keys() - {"report", "download"}


@pytest.mark.parametrize("stage", sorted(components.COMPONENTS.keys() - {"report"}))
def test_a_task_s_key_sees_the_content_of_each_of_its_inputs(compiled: Compile, stage: str) -> None:
    """A digest comes from the very task that the artifact comes from."""
    inputs = compiled("gpu").tasks[stage].inputs
    for name, artifact in inputs.artifacts.items():
        digest = inputs.parameters.get(f"{name}_digest") or inputs.parameters[f"{name}_digests"]
        if artifact.HasField("task_output_artifact"):
            source, of = artifact.task_output_artifact, digest.task_output_parameter
            assert of.producer_task == source.producer_task
            assert of.output_parameter_key == digest_of(source.output_artifact_key)
        else:  # inside the loop
            assert digest.component_input_parameter == digest_of(artifact.component_input_artifact)


def digest_of(artifact: str) -> str:
    """`out` and `Output`, or `pipelinechannel--train-out` and `pipelinechannel--train-Output`."""
    assert artifact.endswith("out")
    return f"{artifact.removesuffix('out')}Output"


def test_the_defaults_of_the_arguments_are_params_yaml(compiled: Compile, repository_params: Params) -> None:
    found = {
        name: json_format.MessageToDict(one.default_value)
        for name, one in compiled("cpu").spec.root.input_definitions.parameters.items()
    }
    assert found == kubeflow.arguments(repository_params)


def test_models_fan_out_and_their_results_are_collected(compiled: Compile) -> None:
    spec = compiled("cpu").spec
    [loop] = [name for name in spec.root.dag.tasks if name.startswith("for-loop")]
    assert spec.root.dag.tasks[loop].parameter_iterator.items.input_parameter == "pipelinechannel--models_params"
    inner = spec.components[spec.root.dag.tasks[loop].component_ref.name].dag
    assert set(inner.tasks) == {"train", "evaluate"}
    assert loop in spec.root.dag.tasks["compare"].dependent_tasks
    for stage in ("one-image", "one-hot", "auto-decoder", "beta", "features"):
        assert loop not in spec.root.dag.tasks[stage].dependent_tasks


@pytest.mark.parametrize("profile", PROFILES)
def test_compiling_again_gives_the_same_bytes(compiled: Compile, repository_params: Params, profile: str) -> None:
    assert compile_text(load_profile(profile, PINNED), repository_params) == compiled(profile).text


def test_the_committed_example_is_current(repository_params: Params) -> None:
    committed = (ROOT / "pipeline" / "example.yaml").read_text(encoding="utf-8")
    assert committed == compile_text(load_profile("gpu"), repository_params), (
        "pipeline/example.yaml is out of date: run "
        "`python -m pipeline compile --profile gpu --out pipeline/example.yaml`"
    )
