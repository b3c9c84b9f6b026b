from pathlib import Path

import pytest
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
