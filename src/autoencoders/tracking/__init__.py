"""Runs in MLflow; the only package that imports it, and only once a stage has something to record.

A run holds nothing that the model's folder does not hold first, so an unreachable server costs nothing: `publish`
brings runs up to date from folders and creates those that do not exist; repeating it changes nothing. System metrics
and the reconstructions by step are the exceptions: no folder keeps them.

    client        where MLflow is, whether it answers, and keeping it quiet
    database      the local database: whether it can be opened and written, and where its files are
    store         finding and creating experiments and runs, and the checks before a stage works for hours
    notes         the notes on MLflow's pages
    recorder      calls in the background, and what happens when they fail
    lineage       the tags that tie a run to commit, stage and inputs, where a model comes from, and URLs of runs
    changes       what a training changes, by which its run is named
    content       what the runs of models hold; logging it again changes nothing
    ladder_content  the same of rungs and the report
    registry      the model as MLflow stores, registers and loads it
    pipeline_run  the run of a Kubeflow pipeline, and its status: while tasks run, and once the pipeline has ended
    runs          the run of a training, and those of finished folders: trained models, rungs, the report
"""

from autoencoders.tracking.client import connect, require_server, server_address, tracking_uri
from autoencoders.tracking.ladder_content import RungResult
from autoencoders.tracking.lineage import run_context
from autoencoders.tracking.recorder import Recorder
from autoencoders.tracking.registry import registered_name
from autoencoders.tracking.runs import ModelRun, RunPublisher, name_launched
from autoencoders.tracking.store import injected_run, launched_alone, require_store

__all__ = [
    "ModelRun", "Recorder", "RunPublisher", "RungResult", "connect", "injected_run", "launched_alone", "name_launched",
    "registered_name", "require_server", "require_store", "run_context", "server_address", "tracking_uri",
]  # fmt: skip
