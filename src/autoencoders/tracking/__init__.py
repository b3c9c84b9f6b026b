"""Runs in MLflow; the only package that imports it, and only once a stage has something to record.

A run holds nothing that the model's folder does not hold first, so an unreachable server costs nothing: `publish`
brings a run up to date from folders, as often as one likes, and creates runs that do not exist yet. System metrics are
the one exception: no folder keeps them.

    client      where MLflow is, whether it answers, and keeping it quiet
    database    the local database: whether it can be opened and written, and where its files are
    store       finding and creating experiments and runs, and the checks before a stage works for hours
    recorder    calls in the background, and what happens when they fail
    lineage     the tags that tie a run to commit, stage and inputs, where a model comes from, and URLs of runs
    content     what a model's run holds, each part logged so that logging it again changes nothing
    registry    the model as MLflow stores, registers and loads it
    kfp_run     the run of a Kubeflow pipeline, and the failures that its tags hold
    kfp_status  its status while the pipeline goes on and once it has ended
    kfp_server  asking Kubeflow's server how a pipeline ended
    model_run   the run of a training
    results     the runs of rungs of the ladder and of the report
    publisher   the runs of finished folders: trained models, rungs, the report
"""

from autoencoders.tracking.client import connect, require_server, server_address, tracking_uri
from autoencoders.tracking.lineage import run_context
from autoencoders.tracking.model_run import ModelRun
from autoencoders.tracking.publisher import RunPublisher
from autoencoders.tracking.recorder import Recorder
from autoencoders.tracking.registry import registered_name
from autoencoders.tracking.results import RungResult
from autoencoders.tracking.store import injected_run, launched_alone, require_store

__all__ = [
    "ModelRun", "Recorder", "RunPublisher", "RungResult", "connect", "injected_run", "launched_alone",
    "registered_name", "require_server", "require_store", "run_context", "server_address", "tracking_uri",
]  # fmt: skip
