"""Everything that talks to a cluster: sending the pipeline, and telling what comes of it.

KFP's API says what ran, Argo's Workflow object says why something did not, MLflow keeps what trainings left.

    connection, failures     asking KFP, and what its refusals mean
    kube                     asking Kubernetes, where this user may
    nodes, kfp_tasks         what runs, as Argo's nodes: from a Workflow, or from KFP's API
    spec                     the run's pipeline: order, models, limits
    view, states, reasons    a line a task and model, in a reader's words
    look                     one look at a run
    status, follow           what `status` and `submit` print
    in_mlflow                where else a reason may be
    sending                  before and at the start of a run
    registered               uploaded versions, recurring runs
"""
