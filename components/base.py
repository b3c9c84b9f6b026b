"""What all components share. A component's body runs in the image alone: it imports what it needs itself."""

from functools import partial

from kfp import dsl

IMAGE = "autoencoders:latest"
"""Stands in the components until `pipeline` puts a profile's image in its place."""
component = partial(dsl.component, base_image=IMAGE, install_kfp_package=False)
"""A KFP component whose image has everything: nothing is installed when it starts."""
