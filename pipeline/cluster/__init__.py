"""Everything that talks to a cluster: sending the pipeline, and showing what comes of it.

KFP's API lists what ran, Argo's Workflow object gives the reason why something did not, MLflow has the trainings.

    connection, failures     asking KFP, and what its refusals mean
    kube                     asking Kubernetes, where this user may
    nodes, kfp_tasks         what runs, as Argo's nodes: from a Workflow, or from KFP's API
    spec                     the run's pipeline: order, models, limits
    view, states, reasons    a line for each task and model
    snapshot                 a run at one moment
    status, follow           what `status` and `submit` print
    in_mlflow                where else a reason may be
    sending                  before and at the start of a run
    registered               uploaded versions, recurring runs
"""
