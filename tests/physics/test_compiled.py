"""The compiled kernels' life: asked for, cached, switched off, refused."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lightloom.physics import compiled, mesh

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="There is no C++ compiler here."
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder of our own; the kernels are looked for again afterwards."""
    monkeypatch.setenv("LIGHTLOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIGHTLOOM_KERNELS", raising=False)
    compiled._load.cache_clear()
    yield tmp_path / "cache"
    monkeypatch.undo()
    compiled._load.cache_clear()


def test_nothing_is_compiled_unless_asked(cache: Path) -> None:
    mesh.build(torch.zeros(6), 4)
    mesh.decompose(torch.eye(4))
    assert not compiled.available() and compiled.library() is None and compiled.backend() == "torch"
    assert not cache.exists()
    with pytest.raises(RuntimeError, match=r"compiled\.build\(\)"), compiled.use("compiled"):
        pass


@needs_compiler
def test_built_once_and_used_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = compiled.build()
    assert list(cache.iterdir()) == [path]
    assert compiled.available() and compiled.backend() == "compiled"
    with compiled.use("torch"):
        assert compiled.backend() == "torch" and compiled.library() is None
        with compiled.use("compiled"):
            assert compiled.backend() == "compiled"
    assert compiled.backend() == "compiled"
    written = path.stat().st_mtime_ns
    assert compiled.build() == path and path.stat().st_mtime_ns == written

    monkeypatch.setenv("LIGHTLOOM_KERNELS", "off")
    compiled._load.cache_clear()
    assert not compiled.available() and compiled.backend() == "torch"


@needs_compiler
def test_a_spoilt_library_is_named_and_passed_over(cache: Path) -> None:
    path = compiled._target()
    assert path is not None
    cache.mkdir()
    path.write_bytes(b"not a library")
    with pytest.warns(UserWarning, match=r"cannot be loaded.*Delete the file"):
        assert not compiled.available()
    assert compiled.backend() == "torch"


@needs_compiler
def test_the_name_follows_the_flags(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiled._target()
    monkeypatch.setattr(compiled, "_FLAGS", (*compiled._FLAGS, "-g"))
    assert compiled._target() != before


def test_without_a_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RuntimeError, match=r"no C\+\+ compiler"):
        compiled.build()
    assert compiled.backend() == "torch"


@needs_compiler
def test_a_compiler_that_fails_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken-c++"
    broken.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\necho no room for vectors >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(RuntimeError, match="no room for vectors"):
        compiled.build()
    assert list(cache.iterdir()) == []


@needs_compiler
def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(RuntimeError, match="LIGHTLOOM_CACHE"):
        compiled.build()


def test_unknown_backend() -> None:
    with pytest.raises(ValueError, match="`compiled` or `torch`, not 'cuda'"), compiled.use("cuda"):  # type: ignore[arg-type]
        pass
