"""The strict check: each pipeline that a cluster would refuse, or fail, is refused here, in one line that says why."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from replay import recording

from autoencoders.errors import UserError
from autoencoders.params import Params, parse_params
from pipeline.compiling import compile_pipeline
from pipeline.profiles import FOLDER, Profile, load_profile
from pipeline.spec_check import check

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def documents(compiled) -> tuple[dict[str, Any], dict[str, Any]]:
    spec, platform = yaml.safe_load_all(compiled("gpu").text)
    return spec, platform


def refusal(documents: tuple[dict[str, Any], dict[str, Any]], change: Change) -> str:
    spec, platform = copy.deepcopy(documents)
    change(spec)
    with pytest.raises(UserError) as refused:
        check(spec, platform)
    return str(refused.value).removeprefix("a cluster would not run this pipeline. ")


def loop(spec: dict[str, Any]) -> dict[str, Any]:
    return next(component for name, component in spec["components"].items() if name.startswith("comp-for-loop"))


def item_as_text(spec: dict[str, Any]) -> None:
    """What `models_params: list` compiles to, and what a cluster refused at the first `train`."""
    loop(spec)["inputDefinitions"]["parameters"]["pipelinechannel--models_params-loop-item"]["parameterType"] = "STRING"


def test_what_is_committed_passes(documents):
    check(*documents)


def test_the_pipeline_that_a_cluster_ran_is_refused_for_what_went_wrong_with_it_alone():
    """It ran; with the first model changed after a cached run, `compare` failed; with the plugin on, every pod."""
    said = refusal(recording("pipeline"), lambda spec: None)
    assert "compare has only lists of artifacts as inputs: give it one that is no list" in said
    rest = said.replace("compare has only lists of artifacts as inputs: give it one that is no list; ", "")
    assert {problem.partition(": ")[2].rstrip(".") for problem in rest.split("; ")} >= {
        "the variable MLFLOW_TRACKING_URI is KFP's own"
    }
    assert "wants" not in said


def test_the_pipeline_that_a_cluster_refused_is_refused():
    assert "for-loop-1 › train: model_params wants STRUCT, and gets STRING; " in refusal(
        recording("pipeline"), item_as_text
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (item_as_text, "for-loop-1 › train: model_params wants STRUCT, and gets STRING."),
        (
            lambda spec: spec["components"]["comp-compare"]["inputDefinitions"]["artifacts"].pop("data"),
            "compare has only lists of artifacts as inputs: give it one that is no list.",
        ),
        (
            lambda spec: spec["components"]["comp-compare"]["inputDefinitions"]["parameters"]["digests"].update(
                parameterType="NUMBER_INTEGER"
            ),
            "compare: digests wants NUMBER_INTEGER, and gets LIST.",
        ),
        (
            lambda spec: spec["components"]["comp-train"]["inputDefinitions"]["parameters"]["data_digest"].update(
                parameterType="BOOLEAN"
            ),
            "for-loop-1 › train: data_digest wants BOOLEAN, and gets STRING.",
        ),
    ],
)
def test_what_a_driver_would_refuse_is_refused(documents, change, said):
    assert refusal(documents, change) == said


@pytest.mark.parametrize(
    "change",
    [
        # An input that is text takes anything.
        lambda spec: spec["components"]["comp-compare"]["outputDefinitions"]["parameters"].update(
            digest={"parameterType": "LIST"}
        ),
        # A loop's output is a list, whatever it says.
        lambda spec: loop(spec)["outputDefinitions"]["parameters"].update(
            {"pipelinechannel--evaluate-digest": {"parameterType": "STRING"}}
        ),
    ],
)
def test_what_a_driver_would_take_passes(documents, change):
    spec, platform = copy.deepcopy(documents)
    change(spec)
    check(spec, platform)


def compiled_with(repository_params: Params, **settings: Any) -> str:
    raw = yaml.safe_load((FOLDER / "cpu.yaml").read_text())
    raw["default"] = {**raw["default"], **settings}
    return compile_pipeline(Profile.model_validate(raw), repository_params)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"env": {"MLFLOW_RUN_ID": "x"}}, "the variable MLFLOW_RUN_ID is KFP's own"),
        ({"env": {"KFP_RUN_ID": "x"}}, "the variable KFP_RUN_ID is set 2 times"),
        (
            {"env": {"TOKEN": "x"}, "secret_env": [{"secret": "a", "keys": {"k": "TOKEN"}}]},
            "the variable TOKEN is set 2 times",
        ),
        ({"secret_env": [{"secret": "my.secret"}]}, "my.secret cannot be mounted: its name must be lower-case letters"),
        (
            {"volumes": [{"claim": "pictures", "path": "/a"}, {"claim": "pictures", "path": "/b"}]},
            "pictures is mounted 2 times, which KFP cannot do",
        ),
        ({"volumes": [{"claim": "one", "path": "/a"}, {"claim": "two", "path": "/a/"}]}, "2 volumes are mounted at /a"),
    ],
)
def test_a_pod_that_kubernetes_would_refuse_is_refused(repository_params, settings, said):
    with pytest.raises(UserError) as refused:
        compiled_with(repository_params, **settings)
    assert f": {said}" in str(refused.value)


def test_too_many_models_for_one_argument_of_a_process_are_refused(repository_params):
    """The inputs of the task that gathers them all are one argument, of which Linux takes 128 KiB."""
    raw = repository_params.model_dump(mode="json", exclude_none=True)
    [entry] = [entry for name, entry in raw["models"].items() if name == "vae"]

    def compile_with(count: int) -> str:
        models = {f"vae-{number}": entry for number in range(count)}
        return compile_pipeline(load_profile("cpu"), parse_params({**raw, "models": models}))

    compile_with(60)
    with pytest.raises(UserError, match=r"the inputs of compare are about 1\d\d KiB, of which a process takes 128"):
        compile_with(200)
