"""The pipeline on Kubernetes: its graph, where its tasks run, and the commands that compile, submit and run it."""
