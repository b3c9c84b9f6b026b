"""Commands that use a trained model, one module each: read files, compute, write files."""
