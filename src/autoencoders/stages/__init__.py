"""One module per stage of the pipeline: read, call, write. DVC, MLflow Projects and Kubeflow call the same functions."""
