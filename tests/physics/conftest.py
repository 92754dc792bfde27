"""Both ways through the kernels: torch, and compiled where there is a compiler."""

import shutil
from collections.abc import Iterator

import pytest

from lightloom.physics import compiled


@pytest.fixture(scope="session")
def kernels() -> None:
    """The compiled kernels, built once; a compiler that is there must work."""
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("there is no C++ compiler here")
    compiled.build()


@pytest.fixture(params=["torch", "compiled"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test twice, once on each."""
    if request.param == "compiled":
        request.getfixturevalue("kernels")
    with compiled.use(request.param):
        yield request.param
