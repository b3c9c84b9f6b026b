"""The stages as components of Kubeflow Pipelines, one module each: thin, the work is in `autoencoders.stages`."""

from components.auto_decoder import auto_decoder
from components.beta import beta
from components.compare import compare
from components.download import download
from components.evaluate import evaluate
from components.features import features
from components.generation import generation
from components.linear import linear
from components.one_hot import one_hot
from components.one_image import one_image
from components.plots import plots
from components.prepare import prepare
from components.report import report
from components.train import train

__all__ = [
    "auto_decoder",
    "beta",
    "compare",
    "download",
    "evaluate",
    "features",
    "generation",
    "linear",
    "one_hot",
    "one_image",
    "plots",
    "prepare",
    "report",
    "train",
]

COMPONENTS = {
    "download": download,
    "prepare": prepare,
    "features": features,
    "train": train,
    "evaluate": evaluate,
    "plots": plots,
    "compare": compare,
    "one-image": one_image,
    "one-hot": one_hot,
    "auto-decoder": auto_decoder,
    "linear": linear,
    "generation": generation,
    "beta": beta,
    "report": report,
}
"""By the stages' names in dvc.yaml, in its order."""
