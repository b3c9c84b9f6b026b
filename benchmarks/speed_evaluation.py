"""How long it takes to evaluate a trained VAE: the stage on all test images without the NLL, and the NLL alone."""

import os
import tempfile
import time
from pathlib import Path

import torch
from speed_child import ROOT, Options, Raw, child

MODEL = "vae"
NLL_IMAGES, NLL_SAMPLES, NLL_RUNS = 1000, 1000, 3


def measure(options: Options) -> list[Raw]:
    """Return the seconds of the stage `evaluate` with hardly any NLL, and of the NLL with K = 1,000 on 1,000 images.

    The model and the features are the pipeline's own, trained for one epoch: what they cost does not depend on it.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        return _measured(options, Path(folder))


def _measured(options: Options, folder: Path) -> list[Raw]:
    from autoencoders.data.prepared import PreparedData
    from autoencoders.evaluation.likelihood import importance_weighted_bound
    from autoencoders.model_folder import load_trained
    from autoencoders.params import parse_params
    from autoencoders.params.file import read_yaml
    from autoencoders.stages.evaluate import evaluate
    from autoencoders.stages.features import features
    from autoencoders.stages.train import train

    raw = read_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["models"] = {MODEL: {**raw["models"][MODEL], "train": {"epochs": 1}, "kl_warmup": 0}}
    raw["features"]["epochs"] = 1
    raw["evaluate"] |= {"importance_samples": 1, "importance_images": 1}
    params = parse_params(raw)
    data = Path(options["data"]) / "mnist" / "prepared"
    train(params, model=MODEL, data=data, checkpoints=folder / "checkpoints", out=folder / MODEL)
    features(params, data=data, out=folder / "features")
    rows = []
    for turn in range(1, options["repeats"] + 1):
        start = time.perf_counter()
        evaluate(params, model=folder / MODEL, data=data, features=folder / "features", out=folder / "evaluation")
        seconds = time.perf_counter() - start
        rows.append(Raw("10,000 test images, no NLL", "seconds", turn, seconds, "fp32"))
    model = load_trained(folder / MODEL, torch.device("cpu")).model
    count, samples = options.get("nll_images", NLL_IMAGES), options.get("nll_samples", NLL_SAMPLES)
    x = torch.tensor(PreparedData(data).split("test").images[:count]).float() / 255
    for turn in range(1, min(options["repeats"], NLL_RUNS) + 1):
        start = time.perf_counter()
        with torch.inference_mode():
            importance_weighted_bound(model, x, samples, torch.Generator().manual_seed(0))
        seconds = time.perf_counter() - start
        rows.append(Raw(f"NLL, K = {samples:,}, {count:,} images", "seconds", turn, seconds, "fp32"))
    return rows


if __name__ == "__main__":
    child(measure)
