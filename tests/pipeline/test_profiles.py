"""Placement profiles: what is in them is checked, and what a stage gets is its own before the default."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from compiled import parse

from autoencoders.errors import UserError
from pipeline.compiling import compile_pipeline
from pipeline.profiles import FOLDER, Profile, load_profile

IMAGE = {"image": "autoencoders:1"}


def refused(folder: Path, content: Any) -> str:
    file = folder / "mine.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(UserError) as caught:
        load_profile(str(file))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "image: missing"),
        ({**IMAGE, "defaults": {}}, "defaults: unknown key. Did you mean 'default'? Known here: checkpoints,"),
        (
            {**IMAGE, "default": {"priority": 1}},
            "default.priority: unknown key. Known here: accelerator, affinity, cpu",
        ),
        (
            {**IMAGE, "stages": {"train": {"acelerator": {}}}},
            "stages.train.acelerator: unknown key. Did you mean 'accelerator'?",
        ),
        (
            {**IMAGE, "stages": {"trian": {}}},
            "stages: there is no stage 'trian'. Did you mean 'train'? Known: download,",
        ),
        (
            {**IMAGE, "default": {"retry": {"attempts": 2, "longest": "15m"}}},
            "default.retry.longest: unknown key. Known here: attempts, backoff, factor",
        ),
        ({**IMAGE, "default": {"memory": "8 GB"}}, "default.memory: String should match pattern"),
        ({**IMAGE, "default": {"timeout": "soon"}}, "default.timeout: String should match pattern"),
        ({**IMAGE, "default": {"accelerator": {"count": 0}}}, "default.accelerator.count: "),
        ({**IMAGE, "default": {"tolerations": [{"effect": "No"}]}}, "default.tolerations.0.effect: "),
        ({**IMAGE, "default": {"retry": {"backoff": "1m"}}}, "default.retry.attempts: missing"),
        ({**IMAGE, "default": {"secret_env": [{"secret": "s", "keys": {"a": "b-c"}}]}}, "default.secret_env.0.keys.a"),
        ({**IMAGE, "pipeline_root": "bucket"}, "pipeline_root: String should match pattern"),
        ({**IMAGE, "checkpoints": {}}, "checkpoints: name either a `claim` or the `url` of an object store"),
        (
            {**IMAGE, "checkpoints": {"claim": "c", "url": "s3://bucket/prefix"}},
            "checkpoints: name either a `claim` or the `url` of an object store",
        ),
        (
            {**IMAGE, "checkpoints": {"url": "s3://bucket", "path": "/c"}},
            "checkpoints: `path` is where a `claim` is mounted; a `url` has none",
        ),
        (
            {**IMAGE, "checkpoints": {"urls": "s3://bucket"}},
            "checkpoints.urls: unknown key. Did you mean 'url'? Known here: claim, path, url",
        ),
        ({**IMAGE, "checkpoints": {"url": "/bucket"}}, "checkpoints.url: String should match pattern"),
        (
            {**IMAGE, "checkpoints": {"url": "s3://key:secret@bucket"}},
            "checkpoints: no password in `url`: name a secret under `secret_env`",
        ),
        (
            {**IMAGE, "checkpoints": {"url": "s3://bucket"}, "trainjob": {"nodes": 2}},
            "trainjob: `checkpoints` must name a `claim`: data and model travel on it, not by a `url`",
        ),
        ({"image": "autoencoders@sha256:12"}, "image: String should match pattern"),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_its_path(tmp_path, content, said):
    assert refused(tmp_path, content).startswith(said)


def test_a_file_that_is_no_profile_is_reported(tmp_path):
    assert "is not valid YAML" in refused(tmp_path, "a: [")
    assert "must hold `image`" in refused(tmp_path, "- 1")
    with pytest.raises(
        UserError, match=r"no placement profile 'gpus'\. Did you mean 'gpu'\? Known: cpu, gpu, multi-gpu"
    ):
        load_profile("gpus")
    with pytest.raises(UserError, match="--image: image: String should match"):
        load_profile("cpu", "two words")


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_profiles_of_the_repository_are_valid(file):
    assert load_profile(file.stem).image == "autoencoders:0.1.0"


def test_a_stage_has_its_own_settings_before_the_default_and_variables_of_both():
    profile = Profile.model_validate(
        {
            **IMAGE,
            "default": {"cpu": 2, "memory": "4Gi", "env": {"A": "1", "B": "1"}, "node_selector": {"pool": "plain"}},
            "stages": {"train": {"cpu": "500m", "env": {"B": "2"}, "node_selector": {}}},
        }
    )
    train, other = profile.of("train"), profile.of("compare")
    assert (train.cpu, train.memory, train.env, train.node_selector) == ("500m", "4Gi", {"A": "1", "B": "2"}, {})
    assert (other.cpu, other.env, other.node_selector) == ("2", {"A": "1", "B": "1"}, {"pool": "plain"})


def test_every_setting_reaches_the_compiled_pipeline(repository_params):
    profile = Profile.model_validate(
        {
            **IMAGE,
            "pipeline_root": "s3://bucket/runs",
            "default": {
                "volumes": [{"claim": "pictures", "path": "/data", "sub_path": "2026"}],
                "env": {"AUTOENCODERS_MIRROR": "/data/mirror"},
                "image_pull_secrets": ["registry"],
                "tolerations": [{"key": "pool", "value": "own", "effect": "NoExecute", "seconds": 60}],
                "affinity": [{"expressions": [{"key": "zone", "values": ["a", "b"]}]}],
                "cpu": "1500m",
            },
        }
    )
    pipeline = parse(compile_pipeline(profile, repository_params))
    assert pipeline.spec.default_pipeline_root == "s3://bucket/runs"
    config = pipeline.kubernetes["compare"]
    [mount] = config.pvc_mount
    assert (mount.constant, mount.mount_path, mount.sub_path) == ("pictures", "/data", "2026")
    assert [secret.secret_name for secret in config.image_pull_secret] == ["registry"]
    [toleration] = config.tolerations
    assert (toleration.key, toleration.operator, toleration.value) == ("pool", "Equal", "own")
    assert (toleration.effect, toleration.toleration_seconds) == ("NoExecute", 60)
    [affinity] = config.node_affinity
    assert [
        (expression.key, expression.operator, list(expression.values)) for expression in affinity.match_expressions
    ] == [("zone", "In", ["a", "b"])]
    assert not affinity.HasField("weight")
    env = {variable.name: variable.value for variable in pipeline.containers["compare"].env}
    assert (env["AUTOENCODERS_MIRROR"], env["OMP_NUM_THREADS"]) == ("/data/mirror", "1")
