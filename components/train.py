"""The component of the stage `train`."""

from kfp.dsl import Dataset, Input, Model, Output

from components.base import component


@component
def train(
    model_params: dict,
    train_params: dict,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    out: Output[Model],
) -> str:
    """Train one model.

    On several GPUs, or several nodes, each has a process, and every batch is divided among them.

    Args:
        model_params: One entry of section `models` of params.yaml, under its name.
        train_params: Section `train`.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.

    Returns:
        out: A folder of the model's name: weights.safetensors, model.json, history.csv, run.json.
        Output: Digest of `out`.
    """
    from pathlib import Path

    from autoencoders import kubeflow, kubeflow_pages

    [name] = model_params
    kubeflow.train_on_gpus(
        {"models": model_params, "train": train_params, "device": device},
        model=name,
        data=data,
        checkpoints=kubeflow.checkpoints(model_params, train_params, data_digest),
        out=Path(out.path) / name,
    )
    kubeflow_pages.show_model(out)
    return kubeflow.digest(out)
