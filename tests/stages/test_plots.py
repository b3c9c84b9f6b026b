import pandas as pd

from autoencoders.data.card import write_card
from autoencoders.data.prepared import PreparedData
from autoencoders.ladder.record import RUNGS
from autoencoders.stages.evaluate import evaluate
from autoencoders.stages.features import features
from autoencoders.stages.plots import plots


def test_the_card_all_models_and_all_rungs_that_measured_something_are_drawn(
    params, prepared, trained, rungs, tmp_path
):
    features(params, data=prepared, out=tmp_path / "features")
    for name in params.models:
        given = {"model": trained / name, "data": prepared, "features": tmp_path / "features"}
        evaluate(params, **given, out=tmp_path / "evaluation" / name)
    (tmp_path / "card").mkdir()
    write_card(tmp_path / "card", PreparedData(prepared), seed=0, remarks={})
    out, curves = tmp_path / "figures", tmp_path / "curves"
    folders = {"card": tmp_path / "card", "models": trained, "evaluation": tmp_path / "evaluation", "ladder": rungs}
    plots(params, data=prepared, **folders, out=out, curves=curves)

    drawn = {path.relative_to(out).with_suffix("").as_posix() for path in out.rglob("*.png")}
    of_all = {"data_card", "comparison", "errors", "interpolations", "kl", "loss", "reconstructions", "samples"}
    of_one = {f"prediction--{name}" for name in params.models} | {f"learned_distribution--{x}" for x in ("ae", "vae")}
    assert drawn == of_all | of_one | {f"ladder/{name}" for name in RUNGS if name != "generation"}
    assert {path.relative_to(curves).as_posix() for path in curves.rglob("*")} == {"loss.csv", "kl.csv"}
    measured = pd.read_csv(tmp_path / "evaluation" / "vae" / "codes" / "dimensions.csv")
    expected = {"model": ["vae", "vae"], "dimension": [1, 2], "kl": measured["kl"].tolist()}
    assert pd.read_csv(curves / "kl.csv").to_dict("list") == expected
    losses = pd.read_csv(curves / "loss.csv")
    assert losses["model"].unique().tolist() == ["ae", "vae"]
    for name in ("ae", "vae"):
        history = pd.read_csv(trained / name / "history.csv")
        for column in ("step", "val/loss"):
            assert losses.loc[losses["model"] == name, column].tolist() == history[column].tolist()
