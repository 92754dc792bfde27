"""Compiled kernels: built when asked for, used once they are there, never needed.

Every `.cpp` of this folder is plain C++17 with `extern "C"` functions on raw pointers. `build()` compiles
them all, with the system's own compiler and for this very processor, into one library in the user's cache
folder. Whoever has a kernel asks `library()` for it and falls back on torch where that is ``None``; the
results agree to rounding.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Literal

from lightloom.physics.compiled.caches import user_cache

Backend = Literal["compiled", "torch"]

_FOLDER = Path(__file__).parent
# No -ffast-math: the kernels tell NaN from numbers, and -0.0 from 0.0. Nobody reads errno after a square
# root.
_FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-shared",
    "-fPIC",
    "-fopenmp",
    "-Wno-psabi",  # the kernels' wide vectors never cross a function that others call
)
_forced: ContextVar[Backend | None] = ContextVar("lightloom_kernels", default=None)


def build() -> Path:
    """Compile the kernels for this machine, unless that is done already.

    Returns:
        The library's file, in `$LIGHTLOOM_CACHE`, `$XDG_CACHE_HOME/lightloom` or `~/.cache/lightloom`. Its
        name holds a hash of the sources, the flags, the compiler and the processor, so a library never
        outlives what it fits.

    Raises:
        RuntimeError: There is no C++ compiler, it refuses, or the cache folder cannot be written to.
    """
    path = _target()
    if path is None:
        raise RuntimeError(
            "There is no C++ compiler to build the kernels with: none of `$CXX`, `c++`, `g++`, `clang++` was found. "
            "Install one; until then everything works on torch alone, slower."
        )
    if not path.exists():
        _compile(path)
    _load.cache_clear()
    return path


def available() -> bool:
    """Whether the kernels are built, can be loaded, and are not switched off by `LIGHTLOOM_KERNELS=off`."""
    return _load() is not None


def library() -> ctypes.CDLL | None:
    """The loaded kernels, or None where torch is to do the work."""
    return None if _forced.get() == "torch" else _load()


def backend() -> Backend:
    """What does the work on contiguous CPU tensors at this point of the program."""
    return "torch" if library() is None else "compiled"


@contextmanager
def use(name: Backend) -> Iterator[None]:
    """Work on `name` alone within the block.

    Args:
        name: ``"torch"`` or ``"compiled"``.

    Raises:
        ValueError: Another name.
        RuntimeError: ``"compiled"``, and the kernels are not built or are switched off.
    """
    if name not in ("compiled", "torch"):
        raise ValueError(f"The backend is `compiled` or `torch`, not {name!r}.")
    if name == "compiled" and not available():
        raise RuntimeError(
            "The kernels are not there: call `lightloom.physics.compiled.build()` first, and leave "
            "`LIGHTLOOM_KERNELS=off` out of the environment."
        )
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


@lru_cache(maxsize=1)
def _load() -> ctypes.CDLL | None:
    path = None if os.environ.get("LIGHTLOOM_KERNELS", "").lower() == "off" else _target()
    if path is None or not path.exists():
        return None
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        warnings.warn(
            f"The kernels in `{path}` cannot be loaded ({error}); torch does the work. "
            "Delete the file and build again.",
            stacklevel=2,
        )
        return None


def _compile(path: Path) -> None:
    """Compile to a temporary name beside `path`, then rename: a kill leaves no half library."""
    compiler = _compiler()
    assert compiler is not None  # `_target` found it
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # what is loaded from here runs as the user
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".kernels.", suffix=".part")
        os.close(handle)
    except OSError as error:
        raise RuntimeError(
            f"Cannot write the kernels to `{path.parent}`: {error.strerror}. "
            "Set `LIGHTLOOM_CACHE` to a folder of yours."
        ) from error
    try:
        command = [compiler, *_FLAGS, *map(str, _sources(".cpp")), "-o", temporary]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(
                f"`{compiler}` could not compile the kernels:\n{result.stderr.strip()[-2000:]}\n"
                "Set `CXX` to another C++17 compiler; until then everything works on torch alone, slower."
            )
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _target() -> Path | None:
    """The file where the library of this machine belongs, or None where there is no compiler to name it by."""
    compiler = _compiler()
    if compiler is None:
        return None
    parts = [path.read_bytes() for path in _sources(".cpp", ".hpp")]
    parts += [text.encode() for text in (" ".join(_FLAGS), _version(compiler), _processor())]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:20]
    return _cache() / f"kernels-{key}.so"


def _sources(*suffixes: str) -> list[Path]:
    return sorted(path for path in _FOLDER.iterdir() if path.suffix in suffixes)


def _compiler() -> str | None:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@lru_cache(maxsize=4)
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout


def _processor() -> str:
    """What `-march=native` depends on: the model and its instruction sets."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return f"{platform.machine()} {platform.processor()}"
    fields = ("model name", "flags", "Features", "CPU part", "cpu family", "model\t")
    lines = {line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith(fields)}
    return "\n".join(sorted(lines))


def _cache() -> Path:
    own = os.environ.get("LIGHTLOOM_CACHE")
    if own:
        return Path(own)
    return user_cache() / "lightloom"
