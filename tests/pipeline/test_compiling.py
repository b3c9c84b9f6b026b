"""The compiled pipeline: valid to the last field, each task placed as its profile says, and nothing stale reused."""

import pytest
import yaml
from compiled import PINNED, ROOT, Compiled, parse
from google.protobuf import json_format

import components
from autoencoders.errors import UserError
from autoencoders.kubeflow import inputs, launch
from autoencoders.params import parse_params
from autoencoders.runtime import pod
from pipeline.compiling import compile_pipeline
from pipeline.profiles import FOLDER, Profile, load_profile

PROFILES = ("cpu", "gpu", "multi-gpu")
ON_GPU = {"features", "train", "evaluate", "ladder"}


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_gives_a_valid_pipeline_of_every_stage(compiled, profile):
    """Parsing is the check: protobuf refuses a field that KFP does not know."""
    pipeline = compiled(profile)
    assert (
        pipeline.tasks.keys()
        == pipeline.containers.keys()
        == pipeline.kubernetes.keys()
        == set(components.component_names())
    )
    assert {container.image for container in pipeline.containers.values()} == {PINNED}


def test_the_check_refuses_what_kfp_does_not_know(compiled):
    text = compiled("gpu").text
    for found, wrong in (("memoryLimit", "memoryLimits"), ("weight: 50", "weights: 50")):
        assert found in text
        with pytest.raises(json_format.ParseError):
            parse(text.replace(found, wrong))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_task_gets_the_resources_of_its_profile(compiled, profile):
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
    return {variable.name: variable.value for variable in container.env}


@pytest.mark.parametrize("stage", components.component_names())
def test_a_task_on_gpus_goes_to_gpu_nodes_and_no_other_does(compiled, stage):
    config = compiled("gpu").kubernetes[stage]
    on_gpu = stage in ON_GPU
    assert dict(config.node_selector.labels) == ({"nvidia.com/gpu.present": "true"} if on_gpu else {})
    tolerated = [(toleration.key, toleration.operator, toleration.effect) for toleration in config.tolerations]
    assert tolerated == ([("nvidia.com/gpu", "Exists", "NoSchedule")] if on_gpu else [])
    assert [term.weight for term in config.node_affinity] == ([50] if on_gpu else [])


def test_processes_that_train_together_have_shared_memory(compiled):
    for stage, config in compiled("multi-gpu").kubernetes.items():
        mounts = [(mount.mount_path, mount.medium, mount.size_limit) for mount in config.empty_dir_mounts]
        assert mounts[1:] == ([("/dev/shm", "Memory", "8Gi")] if stage == "train" else []), stage


def test_no_task_runs_as_root_or_needs_a_root_file_system_that_it_can_write_to(compiled):
    for config in compiled("cpu").kubernetes.values():
        assert config.security_context.run_as_non_root
        assert [(mount.volume_name, mount.mount_path, mount.medium) for mount in config.empty_dir_mounts] == [
            ("tmp", "/tmp", "")
        ]


@pytest.mark.parametrize("profile", PROFILES)
def test_trainings_keep_their_checkpoints_on_a_volume_and_are_tried_again(compiled, profile):
    pipeline = compiled(profile)
    [mount] = pipeline.kubernetes["train"].pvc_mount
    assert (mount.constant, mount.mount_path) == ("autoencoders-checkpoints", "/checkpoints")
    assert env_of(pipeline.containers["train"])[launch.CHECKPOINTS] == "/checkpoints"
    assert not any(pipeline.kubernetes[stage].pvc_mount for stage in components.component_names() if stage != "train")
    retry = pipeline.tasks["train"].retry_policy
    assert retry.max_retry_count == {"cpu": 4}.get(profile, 6)
    assert (retry.backoff_duration.seconds, retry.backoff_factor) == (60, 2)
    assert pipeline.kubernetes["train"].active_deadline_seconds == 6 * 3600
    assert pipeline.tasks["compare"].retry_policy.max_retry_count == 2
    assert pipeline.kubernetes["compare"].active_deadline_seconds == 2 * 3600


@pytest.mark.parametrize(
    ("profile", "stage", "seconds"),
    [
        ("cpu", "train", 5 * (6 + 24) * 3600 + 60 * (1 + 2 + 4 + 8)),
        ("cpu", "plots", 3 * (2 + 24) * 3600 + 30 * (1 + 2)),
        ("gpu", "train", 7 * (6 + 24) * 3600 + 60 * (1 + 2 + 4 + 8 + 16 + 32)),
    ],
)
def test_all_attempts_fit_into_kfp_s_deadline_from_the_first_one_s_start(compiled, profile, stage, seconds):
    """KFP calls it the longest backoff; a day for each attempt to find a node."""
    assert compiled(profile).tasks[stage].retry_policy.backoff_max_duration.seconds == seconds


def test_checkpoints_in_an_object_store_need_no_volume(repository_params):
    raw = yaml.safe_load((FOLDER / "gpu.yaml").read_text())
    profile = Profile.model_validate({**raw, "checkpoints": {"url": "s3://bucket/prefix"}})
    pipeline = parse(compile_pipeline(profile, repository_params))
    assert env_of(pipeline.containers["train"])[launch.CHECKPOINTS] == "s3://bucket/prefix"
    assert not any(config.pvc_mount for config in pipeline.kubernetes.values())
    assert "s3" in {secret.secret_name for secret in pipeline.kubernetes["train"].secret_as_volume}


@pytest.mark.parametrize("experiment", ["autoencoders", "mine"])
def test_every_task_knows_its_run_and_an_experiment_that_is_not_the_default(experiment, repository_params):
    tracking = repository_params.tracking.model_copy(update={"experiment": experiment})
    params = repository_params.model_copy(update={"tracking": tracking})
    pipeline = parse(compile_pipeline(load_profile("cpu", PINNED), params))
    for stage, config in pipeline.kubernetes.items():
        assert [(variable.name, variable.field_path) for variable in config.field_path_as_env] == [
            ("KFP_RUN_ID", "metadata.labels['pipeline/runid']")
        ]
        env = env_of(pipeline.containers[stage])
        assert env.get("MLFLOW_EXPERIMENT_NAME") == (None if experiment == "autoencoders" else "mine")
        assert env.get("AUTOENCODERS_IMAGE") == (PINNED if stage in ("train", "ladder", "report") else None)


def test_a_task_s_secrets_are_one_variable_and_folders(compiled):
    """Six variables more would stand in each of its six nodes; MLFLOW_TRACKING_URI is KFP's MLflow plugin's to set."""
    for config in compiled("gpu").kubernetes.values():
        [required] = config.secret_as_env
        assert (required.secret_name, required.optional) == ("mlflow", False)
        [key] = required.key_to_env
        assert (key.secret_key, key.env_var) == ("MLFLOW_TRACKING_URI", pod.TRACKING_URI)
        folders = [(volume.secret_name, volume.mount_path, volume.optional) for volume in config.secret_as_volume]
        assert folders == [(name, f"/etc/autoencoders/{name}", True) for name in ("mlflow-login", "s3")]


def test_a_tracking_server_without_a_secret_keeps_out_of_the_plugin_s_way_too(repository_params):
    raw = yaml.safe_load((FOLDER / "cpu.yaml").read_text())
    raw["default"] |= {"secret_env": [], "env": {"MLFLOW_TRACKING_URI": "http://mlflow:5000"}}
    pipeline = parse(compile_pipeline(Profile.model_validate(raw), repository_params))
    for container in pipeline.containers.values():
        assert env_of(container)[pod.TRACKING_URI] == "http://mlflow:5000"
        assert "MLFLOW_TRACKING_URI" not in env_of(container)


@pytest.mark.parametrize(
    ("profile", "device", "argument", "computed_on"),
    [
        ("cpu", "auto", "cpu", {}),
        ("gpu", "auto", "cuda", {}),
        ("multi-gpu", "auto", "cuda", {}),
        ("gpu", "cuda:0", "cuda:0", {}),
        ("mixed", "auto", "cuda", {"features": "cpu", "evaluate": "cpu", "ladder": "cpu"}),
    ],
)
def test_a_task_gets_the_device_of_its_profile(repository_params, profile, device, argument, computed_on):
    """KFP's cache sees names alone: `auto` would hand a GPU's run what a processor computed."""
    raw = yaml.safe_load((FOLDER / f"{'gpu' if profile == 'mixed' else profile}.yaml").read_text())
    if profile == "mixed":
        raw["stages"] = {"train": raw["stages"]["train"]}
    params = repository_params.model_copy(update={"device": device})
    pipeline = parse(compile_pipeline(Profile.model_validate(raw), params))
    assert pipeline.spec.root.input_definitions.parameters["device"].default_value.string_value == argument
    for stage in ("features", "train", "evaluate", "ladder"):
        source = pipeline.tasks[stage].inputs.parameters["device"]
        assert source.runtime_value.constant.string_value == computed_on.get(stage, "")
        assert (source.component_input_parameter == "") == (stage in computed_on)


@pytest.mark.parametrize(
    ("profile", "device", "said"),
    [
        (
            "cpu",
            "cuda",
            "device: cuda, but the placement profile gives no GPU to features, train, evaluate and ladder.",
        ),
        (
            "gpu",
            "cpu",
            "device: cpu, but the placement profile reserves GPUs for features, train, evaluate and ladder.",
        ),
    ],
)
def test_a_device_that_the_profile_contradicts_is_refused(repository_params, profile, device, said):
    params = repository_params.model_copy(update={"device": device})
    with pytest.raises(UserError) as refused:
        compile_pipeline(load_profile(profile), params)
    assert str(refused.value) == f"{said} Set device: auto, or choose another profile."


def cached(pipeline: Compiled) -> set[str]:
    return {stage for stage, task in pipeline.tasks.items() if task.caching_options.enable_cache}


def test_results_are_reused_only_where_the_key_says_all(compiled, repository_params, monkeypatch):
    """KFP's key holds the image's name, parameters and artifacts' names; not what a tag points to, nor contents."""
    assert cached(compiled("gpu")) == set(components.component_names()) - {"report"}
    assert cached(compiled("gpu", "registry.example/autoencoders:0.1.0")) == set()
    assert cached(compiled("gpu", PINNED, cache=False)) == set()
    raw = repository_params.model_dump(mode="json", exclude_none=True)
    raw["data"] = {"name": "folder", "folder": "/data/pictures"}
    own = parse(compile_pipeline(load_profile("gpu", PINNED), parse_params(raw)))
    assert cached(own) == set(components.component_names()) - {"report", "download"}


DIGESTS = {"raw": "digest", "data": "digest", "card": "card_digest", "extractor": "digest", "model": "digest",
           "result": "digest", "results": "digest", "rungs": "digest"}  # fmt: skip
"""Artifact → the output of the same task that is its digest."""


@pytest.mark.parametrize("stage", sorted(set(components.component_names()) - {"report"}))
def test_a_task_s_key_sees_the_content_of_each_of_its_inputs(compiled, stage):
    """A digest comes from the very task that the artifact comes from."""
    inputs = compiled("gpu").tasks[stage].inputs
    for name, artifact in inputs.artifacts.items():
        if (stage, name) == ("compare", "data"):
            continue
        digest = inputs.parameters["digests" if name == "measured" else f"{name}_digest"]
        if artifact.HasField("task_output_artifact"):
            source, of = artifact.task_output_artifact, digest.task_output_parameter
            assert of.producer_task == source.producer_task
            key = source.output_artifact_key.rpartition("-")[2]
            assert of.output_parameter_key.rpartition("-")[2] == DIGESTS[key]
        else:  # inside the loop: pipelinechannel--prepare-data and pipelinechannel--prepare-digest
            task, _, key = artifact.component_input_artifact.rpartition("-")
            assert digest.component_input_parameter == f"{task}-{DIGESTS[key]}"


def test_the_defaults_of_the_arguments_are_params_yaml(compiled, repository_params):
    found = {
        name: json_format.MessageToDict(definition.default_value)
        for name, definition in compiled("cpu").spec.root.input_definitions.parameters.items()
    }
    assert found == {**inputs.to_kfp_inputs(repository_params), "device": "cpu"}


def test_the_pipeline_and_its_arguments_are_described(compiled):
    root = compiled("cpu").spec.root
    assert all(len(definition.description) > 20 for definition in root.input_definitions.parameters.values())
    assert compiled("cpu").spec.pipeline_info.description.startswith("Train, evaluate and compare autoencoders")


def test_models_fan_out_and_their_results_are_collected(compiled):
    spec = compiled("cpu").spec
    [loop] = [name for name in spec.root.dag.tasks if name.startswith("for-loop")]
    assert spec.root.dag.tasks[loop].parameter_iterator.items.input_parameter == "pipelinechannel--models_params"
    inner = spec.components[spec.root.dag.tasks[loop].component_ref.name].dag
    assert set(inner.tasks) == {"train", "evaluate"}
    assert loop in spec.root.dag.tasks["compare"].dependent_tasks
    assert loop not in spec.root.dag.tasks["features"].dependent_tasks


@pytest.mark.parametrize("profile", PROFILES)
def test_compiling_again_gives_the_same_bytes(compiled, repository_params, profile):
    assert compile_pipeline(load_profile(profile, PINNED), repository_params) == compiled(profile).text


def test_the_committed_example_is_current(repository_params):
    committed = (ROOT / "pipeline" / "example.yaml").read_text(encoding="utf-8")
    assert committed == compile_pipeline(load_profile("gpu"), repository_params), (
        "pipeline/example.yaml is out of date: run "
        "`python -m pipeline compile --profile gpu --out pipeline/example.yaml`"
    )
