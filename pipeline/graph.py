"""The graph of dvc.yaml as a pipeline of Kubeflow Pipelines.

Models fan out: each is trained and evaluated beside the others, and `compare` gathers what comes of them. The ladder is
one task. The arguments are the sections of params.yaml, their defaults the values that the graph is built with.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from autoencoders.kubeflow.inputs import to_kfp_inputs
from autoencoders.params import Params
from components import load_component

NAME = "autoencoders"
DESCRIPTION = "Train, evaluate and compare autoencoders and VAEs; climb the ladder; write the report."

PlaceTask = Callable[[str, dsl.PipelineTask], None]
"""Called with each stage's name and its task, which it says where and how to run."""


def build(
    params: Params,
    place: PlaceTask = lambda stage, task: None,
    root: str | None = None,
    devices: Mapping[str, str] | None = None,
) -> BaseComponent:
    """Return the pipeline, with the sections of `params` as its arguments' defaults; its artifacts go below `root`.

    `devices`: stage → where it computes, for those that do not compute where the argument `device` says.
    """
    default = to_kfp_inputs(params)

    def add(stage: str, **inputs: Any) -> dsl.PipelineTask:
        if devices and stage in devices:
            inputs["device"] = devices[stage]
        task = load_component(stage)(**inputs)
        task.set_display_name(stage)
        place(stage, task)
        return task

    @dsl.pipeline(name=NAME, description=DESCRIPTION, pipeline_root=root)
    def autoencoders(
        device: str = default["device"],
        data_params: dict = default["data_params"],
        prepare_params: dict = default["prepare_params"],
        train_params: dict = default["train_params"],
        models_params: list[dict] = default["models_params"],
        features_params: dict = default["features_params"],
        evaluate_params: dict = default["evaluate_params"],
        plots_params: dict = default["plots_params"],
        ladder_params: dict = default["ladder_params"],
    ) -> None:
        """Train, evaluate and compare autoencoders and VAEs; climb the ladder; write the report.

        Args:
            device: Where tasks compute: cpu, or cuda where their nodes have GPUs.
            data_params: The images: name of a set, or folder; image size, channels. Section `data` of params.yaml.
            prepare_params: Splits and their seed. Section `prepare`.
            train_params: Steps, batch size, learning rate, precision of all models. Section `train`.
            models_params: The models, one mapping with one entry each: name and parameters. Section `models`.
            features_params: The classifier of the Fréchet distance. Section `features`.
            evaluate_params: Samples of the likelihood's bound, and other settings of measures. Section `evaluate`.
            plots_params: Images in the figures. Section `plots`.
            ladder_params: The experiments from a stored picture to the VAE. Section `ladder`.
        """
        here = locals()
        _connect({name: here[name] for name in default}, add)

    return autoencoders


def _connect(given: dict[str, Any], add: Callable[..., dsl.PipelineTask]) -> None:
    """Add the task of each stage, with the sections `given` and what earlier tasks left."""

    def sections(*names: str) -> dict[str, Any]:
        return {name: given[name] for name in names}

    download = add("download", **sections("data_params"))
    prepare = add("prepare", **sections("data_params", "prepare_params"), **_output("raw", download, "raw"))
    data = _output("data", prepare, "data")
    features = add("features", **sections("features_params", "device"), **data)
    with dsl.ParallelFor(given["models_params"], name="models") as model_params:
        train = add("train", model_params=model_params, **sections("train_params", "device"), **data)
        evaluate = add(
            "evaluate",
            **sections("evaluate_params", "device"),
            **_output("model", train, "model"),
            **data,
            **_output("features", features, "extractor"),
        )
    compare = add(
        "compare",
        **sections("models_params"),
        data=prepare.outputs["data"],
        measured=dsl.Collected(evaluate.outputs["result"]),
        digests=dsl.Collected(evaluate.outputs["digest"]),
    )
    results = _output("results", compare, "results")
    ladder = add(
        "ladder",
        **sections("ladder_params", "evaluate_params", "features_params", "device"),
        **data,
        **results,
    )
    plots = add(
        "plots",
        **sections("plots_params"),
        **data,
        card=prepare.outputs["card"],
        card_digest=prepare.outputs["card_digest"],
        **results,
        **_output("rungs", ladder, "rungs"),
    )
    add(
        "report",
        **{name: value for name, value in given.items() if name != "models_params"},
        data=prepare.outputs["data"],
        results=compare.outputs["results"],
        figures=plots.outputs["figures"],
        rungs=ladder.outputs["rungs"],
    )


def _output(name: str, task: dsl.PipelineTask, output: str) -> dict[str, Any]:
    """Return what a task left as `output`, and its digest, as the inputs `name` and `<name>_digest` of another."""
    return {name: task.outputs[output], f"{name}_digest": task.outputs["digest"]}
