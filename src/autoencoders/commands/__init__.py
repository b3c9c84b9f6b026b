"""What can be done with a trained model from the command line, one module a command: read files, call, write files."""
