"""Everything that talks to a cluster: sending the pipeline, and telling what comes of it.

KFP's API says what ran, Argo's Workflow object says why something did not, MLflow keeps what trainings left.

    connection, failures     asking KFP, and what its refusals mean
    kube                     asking Kubernetes, where this user may
    nodes                    what runs: Argo's nodes, as `argo` reads them from a Workflow, `kfp_tasks` from KFP's API
    spec                     the run's pipeline: order, models, limits
    view, states, reasons    a line a task and model, in a reader's words
    look                     one look at a run
    follow, status, ending   what `submit` and `status` print
    logs, in_mlflow          where else a reason may be
    preflight, sending       before and at the start of a run
    recurring, upload        the other commands
"""
