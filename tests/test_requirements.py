"""The locks: the image's is a part of the whole, and neither names an index."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pinned(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.\[\]-]+==\S+)", (ROOT / name).read_text(), re.M))


def test_the_image_has_the_versions_that_everything_else_is_tested_with():
    image = pinned("requirements-image.txt")
    assert image <= pinned("requirements.txt"), "run `make lock`"
    assert {"torch", "mlflow", "kfp", "kubeflow", "boto3", "s3fs"} <= {
        requirement.partition("==")[0] for requirement in image
    }
    assert not {"pytest", "mypy", "ruff", "playwright"} & {requirement.partition("==")[0] for requirement in image}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-image.txt"])
def test_a_lock_names_no_index(name):
    assert not re.search(r"://|--index|--find-links", (ROOT / name).read_text())
