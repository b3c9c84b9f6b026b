"""A trained model as a folder, from which it can be rebuilt, and its data set and MLflow run found.

weights.safetensors   the weights, no pickles
model.json            parameters, data shape, data set, training settings, results on the validation split
history.csv           one row for each validation, from step 0 on (networks only)
run.json              the MLflow run that recorded the training
"""

from autoencoders.model_folder.read import LoadedModel, load_trained, read_description, read_reference
from autoencoders.model_folder.schema import CONTENTS, WEIGHTS
from autoencoders.model_folder.write import save_trained

__all__ = ["CONTENTS", "WEIGHTS", "LoadedModel", "load_trained", "read_description", "read_reference", "save_trained"]
