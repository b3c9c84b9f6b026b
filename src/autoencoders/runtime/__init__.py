"""The process that runs: its signals and exit codes, its memory, its pod, its progress bar."""
