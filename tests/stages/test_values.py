"""What modules hand each other."""

import dataclasses
import pkgutil
from importlib import import_module

from autoencoders import evaluation, stages, training


def test_values_cannot_be_changed_once_they_are_made():
    """But for the progress of a training."""
    changeable = set()
    for package in (stages, evaluation, training):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(import_module(found.name)).items():
                if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == found.name:
                    changeable |= set() if value.__dataclass_params__.frozen else {name}
    assert changeable == {"Progress"}
