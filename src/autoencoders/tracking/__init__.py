"""Runs in MLflow; the only package that imports it, and only once a stage has something to record.

A run never holds anything that the model's folder does not hold first, so a server that goes away costs nothing:
`publish` brings a run up to date from folders, as often as one likes, and makes runs that do not exist yet. The one
exception are system metrics, which no folder keeps.

    client        where MLflow is, whether it answers, and keeping it quiet
    database      the local database: whether it can be opened and written
    moved         a local database whose files are elsewhere than it says
    experiments   what is looked at before a stage works for hours
    recorder      calls in the background, and what happens when they fail
    origin        the tags that tie a run to commit, DVC stage and inputs
    launch        what started the process, and the run that it is to join
    kfp_status    status of the run of a Kubeflow pipeline, while it goes on and once it has ended
    kfp_server    asking Kubeflow how a pipeline has ended
    links         addresses of runs' pages
    store         finding and making experiments and runs
    content       what a run holds, each part logged so that logging it again changes nothing
    logged_model  the model as MLflow stores, loads and registers it
    model_run     the run of one training
    runs          the runs of what is a folder already: trained models, rungs, the report
    pages         the report
    lineage       what a model came from, found from its folder, its run or the Kubeflow run
"""

from autoencoders.tracking.client import connect, repository_root, require_server, server_address, tracking_uri
from autoencoders.tracking.experiments import require_store
from autoencoders.tracking.launch import injected_run, launched_alone
from autoencoders.tracking.logged_model import registered_name
from autoencoders.tracking.model_run import ModelRun
from autoencoders.tracking.origin import run_context
from autoencoders.tracking.recorder import Recorder
from autoencoders.tracking.runs import RunPublisher, figures_of, log_own_rung

__all__ = [
    "ModelRun",
    "Recorder",
    "RunPublisher",
    "connect",
    "figures_of",
    "injected_run",
    "launched_alone",
    "log_own_rung",
    "registered_name",
    "repository_root",
    "require_server",
    "require_store",
    "run_context",
    "server_address",
    "tracking_uri",
]
