"""The models, one file a kind. `params.models.KINDS` lists all kinds."""

from autoencoders.models.autoencoder import Autoencoder
from autoencoders.models.base import Model, all_finite
from autoencoders.models.blocks import Shape
from autoencoders.models.factory import build, count_numbers, n_components, parameter_shapes
from autoencoders.models.pca import PCA
from autoencoders.models.vae import VAE

__all__ = [
    "PCA",
    "VAE",
    "Autoencoder",
    "Model",
    "Shape",
    "all_finite",
    "build",
    "count_numbers",
    "n_components",
    "parameter_shapes",
]
