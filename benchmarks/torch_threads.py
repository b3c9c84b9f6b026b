"""Import this before torch: its threads then wait as they do in the pipeline."""

from autoencoders.runtime.process import configure_threads

configure_threads()
