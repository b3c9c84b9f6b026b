"""The training loop, its checkpoints and the device that it runs on."""
