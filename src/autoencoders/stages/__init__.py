"""One module per stage: read, call, write. DVC, MLflow Projects and Kubeflow call the same functions."""
