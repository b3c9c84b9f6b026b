"""The graph of dvc.yaml as a pipeline of Kubeflow Pipelines.

Models fan out: each is trained and evaluated beside the others, and what comes of them is collected. The arguments are
the sections of params.yaml, their defaults the values that the graph is built with.
"""

from collections.abc import Callable
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

import components
from autoencoders.kubeflow import arguments
from autoencoders.params import Params

NAME = "autoencoders"
DESCRIPTION = "Train, evaluate and compare autoencoders and VAEs; climb the ladder; write the report."

Place = Callable[[str, dsl.PipelineTask], None]
"""Called with each stage's name and its task, which it says where and how to run."""


def build(params: Params, place: Place = lambda stage, task: None, root: str | None = None) -> BaseComponent:
    """Return the pipeline, with the sections of `params` as its arguments' defaults; its artifacts go below `root`."""
    default = arguments(params)

    def add(stage: str, **inputs: Any) -> dsl.PipelineTask:
        task = components.COMPONENTS[stage](**inputs)
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
        ladder_seed: int = default["ladder_seed"],
        ladder_one_image_params: dict = default["ladder_one_image_params"],
        ladder_one_hot_params: dict = default["ladder_one_hot_params"],
        ladder_auto_decoder_params: dict = default["ladder_auto_decoder_params"],
        ladder_linear_params: dict = default["ladder_linear_params"],
        ladder_generation_params: dict = default["ladder_generation_params"],
        ladder_beta_params: dict = default["ladder_beta_params"],
    ) -> None:
        here = locals()
        given = {name: here[name] for name in default}

        def sections(*names: str) -> dict[str, Any]:
            return {name: given[name] for name in names}

        download = add("download", data_params=data_params)
        prepare = add("prepare", **sections("data_params", "prepare_params"), **_input("raw", download))
        data = _input("data", prepare)
        features = add("features", **sections("features_params", "device"), **data)
        with dsl.ParallelFor(models_params, name="models") as model_params:
            train = add("train", model_params=model_params, **sections("train_params", "device"), **data)
            evaluate = add(
                "evaluate",
                **sections("evaluate_params", "device"),
                **_input("model", train),
                **data,
                **_input("features", features),
            )

        # KFP lets a collection be used once: each use makes its own.
        def models() -> dict[str, Any]:
            return _collected("models", train)

        def evaluation() -> dict[str, Any]:
            return _collected("evaluation", evaluate)

        plots = add("plots", **sections("plots_params", "models_params"), **data, **models(), **evaluation())
        compare = add("compare", models_params=models_params, **models(), **evaluation())
        rungs = {
            rung: add(rung.replace("_", "-"), **sections(f"ladder_{rung}_params", "ladder_seed", "device"), **data)
            for rung in ("one_image", "one_hot", "auto_decoder", "beta")
        }
        rungs["linear"] = add(
            "linear",
            **sections("ladder_linear_params", "ladder_seed", "models_params", "device"),
            **data,
            **evaluation(),
        )
        rungs["generation"] = add(
            "generation",
            **sections("evaluate_params", "features_params", "ladder_generation_params", "models_params", "device"),
            **data,
            **models(),
            **evaluation(),
        )
        add(
            "report",
            **given,
            data=prepare.outputs["out"],
            card=prepare.outputs["card"],
            models=dsl.Collected(train.outputs["out"]),
            evaluation=dsl.Collected(evaluate.outputs["out"]),
            figures=plots.outputs["out"],
            comparison=compare.outputs["out"],
            **{rung: task.outputs["out"] for rung, task in rungs.items()},
        )

    return autoencoders


def _input(name: str, task: dsl.PipelineTask) -> dict[str, Any]:
    """Return what a task left, and its digest, as inputs of another."""
    return {name: task.outputs["out"], f"{name}_digest": task.outputs["Output"]}


def _collected(name: str, task: dsl.PipelineTask) -> dict[str, Any]:
    """Return what a task left for every model, and the digests, as inputs of another."""
    return {name: dsl.Collected(task.outputs["out"]), f"{name}_digests": dsl.Collected(task.outputs["Output"])}
