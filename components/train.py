"""The component of the stage `train`."""

from kfp.dsl import Dataset, Input, Markdown, Model, Output

from components.base import Digest, component


@component
def train(
    model_params: dict,
    train_params: dict,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    model: Output[Model],
    summary: Output[Markdown],
) -> Digest:
    """Train one model.

    On several GPUs, or several nodes, each has a process, and every batch is divided among them.

    Args:
        model_params: One entry of section `models` of params.yaml, under its name.
        train_params: Section `train`.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.

    Returns:
        model: A folder of the model's name: weights.safetensors, model.json, history.csv, run.json.
        summary: How the training went, with links to MLflow.
        digest: Of `model`.
    """
    from pathlib import Path

    from autoencoders.kubeflow import artifacts, launch, pages

    [name] = model_params
    launch.train_on_gpus(
        {"models": model_params, "train": train_params, "device": device},
        model=name,
        data=data,
        checkpoints=launch.checkpoints(model_params, train_params, data_digest),
        out=Path(model.path) / name,
    )
    pages.show_training(summary, model)
    return Digest(artifacts.digest(model))
