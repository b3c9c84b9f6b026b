"""Runs in MLflow; the only package that imports it, and only once a stage has something to record.

A run never holds anything that the model's folder does not hold first, so a server that goes away costs nothing:
`publish` brings a run up to date from folders, as often as one likes, and makes runs that do not exist yet. The one
exception are system metrics, which no folder keeps.

    client      where MLflow is, whether it answers, and keeping it quiet
    database    the local database: whether it can be opened and written, and where its files are
    store       finding and making experiments and runs, and what is looked at before a stage works for hours
    recorder    calls in the background, and what happens when they fail
    lineage     the tags that tie a run to commit, stage and inputs, what they tell of a model, and pages of runs
    content     what a run holds, each part logged so that logging it again changes nothing
    registry    the model as MLflow stores, registers and loads it
    kfp_status  the run of a Kubeflow pipeline: its status while the pipeline goes on and once it has ended
    publisher   the run of a training, and those of what is a folder already: trained models, rungs, the report
"""

from autoencoders.tracking.client import connect, require_server, server_address, tracking_uri
from autoencoders.tracking.content import RungResult
from autoencoders.tracking.lineage import run_context
from autoencoders.tracking.publisher import ModelRun, RunPublisher
from autoencoders.tracking.recorder import Recorder
from autoencoders.tracking.registry import registered_name
from autoencoders.tracking.store import injected_run, launched_alone, require_store

__all__ = [
    "ModelRun",
    "Recorder",
    "RunPublisher",
    "RungResult",
    "connect",
    "injected_run",
    "launched_alone",
    "registered_name",
    "require_server",
    "require_store",
    "run_context",
    "server_address",
    "tracking_uri",
]
