"""The stages as components of Kubeflow Pipelines: thin, the work is in `autoencoders.stages`.

One module a stage, but for the rungs of the ladder, which are one component.
"""

from components.compare import compare
from components.download import download
from components.evaluate import evaluate
from components.features import features
from components.ladder import ladder
from components.plots import plots
from components.prepare import prepare
from components.report import report
from components.train import train

__all__ = ["compare", "download", "evaluate", "features", "ladder", "plots", "prepare", "report", "train"]

COMPONENTS = {
    "download": download,
    "prepare": prepare,
    "features": features,
    "train": train,
    "evaluate": evaluate,
    "plots": plots,
    "compare": compare,
    "ladder": ladder,
    "report": report,
}
"""By the stages' names in dvc.yaml, in its order, `ladder` in place of its rungs."""
