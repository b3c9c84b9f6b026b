"""Train, evaluate and compare autoencoders and variational autoencoders.

    from autoencoders import load_model

is the way to use a model that is trained. Importing the package alone imports neither torch nor MLflow.
"""

TYPE_CHECKING = False  # `typing` would be most of what importing this package costs
if TYPE_CHECKING:
    from autoencoders.inference import TrainedModel, load_model

    __version__: str

__all__ = ["TrainedModel", "__version__", "load_model"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name in __all__:
        from autoencoders import inference

        return getattr(inference, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
