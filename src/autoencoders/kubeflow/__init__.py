"""What connects a stage with its component of Kubeflow Pipelines; KFP itself is not imported.

inputs      parts of params.yaml as a pipeline's inputs, and back
artifacts   folders as artifacts, and their digests
launch      a stage in a pod: exit codes, checkpoints, several GPUs
trainjob    a training on several nodes
pages       what KFP shows beside the tasks
"""
