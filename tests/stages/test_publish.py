from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from autoencoders.errors import UserError
from autoencoders.params import Params
from autoencoders.stages.publish import publish
from autoencoders.tracking import content


def test_what_mlflow_refuses_is_one_error_and_no_warning_besides(
    params: Params, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The warnings of a training promise that publishing will bring back what is lost: here it is what failed."""

    def refuse(*arguments: object) -> None:
        raise MlflowException("no room")

    monkeypatch.setattr(content, "log_params", refuse)
    nothing = dict.fromkeys(("evaluation", "figures", "ladder"), tmp_path / "nothing")
    with pytest.raises(UserError, match=r"^MLflow failed \(.*no room\)\. Run `autoencoders publish` again"):
        publish(params, models=trained, report=tmp_path / "nothing", **nothing)
    assert capfd.readouterr().err == ""


def aliases(client: MlflowClient) -> dict[str, str]:
    """The models that have an alias, by it."""
    name = "tiny-autoencoders"
    versions = client.get_registered_model(name).aliases
    return {alias: client.get_model_version(name, version).tags["model"] for alias, version in versions.items()}


def test_the_best_are_named_once_all_models_are_there(
    params: Params, trained: Path, tmp_path: Path, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = dict.fromkeys(("evaluation", "figures", "ladder", "report"), tmp_path / "nothing")
    (trained / "ae").rename(tmp_path / "ae")
    publish(params, models=trained, **nothing)
    assert capsys.readouterr().out == "pca: published\nvae: published\n"
    assert aliases(client) == {}
    (tmp_path / "ae").rename(trained / "ae")
    publish(params, models=trained, **nothing)
    assert capsys.readouterr().out == (
        "pca: already there\nae: published\nvae: already there\n"
        "models:/tiny-autoencoders@best-autoencoder is ae, by val/mse\n"
        "models:/tiny-autoencoders@best-vae is vae, by val/elbo\n"
    )
    assert aliases(client) == {"best-autoencoder": "ae", "best-vae": "vae"}


def test_without_a_trained_model_there_is_nothing_to_publish(params: Params, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"models holds no trained model\. Run `dvc repro` or `dvc pull` first\.$"):
        publish(params, models=tmp_path / "models")
