"""What the tests of the pipeline share: the repository's own parameters, and compiled pipelines."""

from collections.abc import Callable
from functools import cache

import pytest

from autoencoders.params import Params, load_params
from pipeline.compiling import compile_text
from pipeline.profiles import load_profile

from compiled import PINNED, ROOT, Compiled, parse  # isort: skip


@pytest.fixture(scope="session")
def repository_params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def compiled(repository_params: Params) -> Callable[..., Compiled]:
    """Compile the repository's pipeline with a profile; the image is pinned unless another is named."""

    @cache
    def compile_with(profile: str, image: str = PINNED, cache: bool = True) -> Compiled:
        return parse(compile_text(load_profile(profile, image), repository_params, cache))

    return compile_with
