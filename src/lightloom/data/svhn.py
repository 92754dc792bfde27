"""Street View House Numbers, cropped digits: `train_32x32.mat` and `test_32x32.mat` in MATLAB's version 5 format.

`X` holds the images [32, 32, 3, n], rows first; `y` the labels 1 ... 10, where 10 stands for the digit 0.
Source: Y. Netzer et al., "Reading digits in natural images with unsupervised feature learning" (2011), format 2.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from lightloom.common.errors import RequestError
from lightloom.data.dataset_info import DatasetInfo
from lightloom.data.files import find_file
from lightloom.data.splits import Pixels

_NUMBERS = ("uint8", "double")


def read_svhn(info: DatasetInfo, root: Path | None = None) -> tuple[Pixels, Pixels]:
    """The learning and the test images of SVHN; its 531,131 extra images are not used.

    Args:
        info: Of the set; its counts are checked.
        root: As `lightloom.data.files.find_files` has it.

    Returns:
        uint8 images [n, 3, 32, 32] with int64 labels [n], 0 ... 9 as the digits they name, twice.

    Raises:
        RequestError: A file is missing, damaged, of another format, or its arrays are not those of the set.
        WorkError: A download failed.
    """
    learning, test = (find_file(info, f"{part}_32x32.mat", root) for part in ("train", "test"))
    return _read(learning, info, info.train_and_validation), _read(test, info, info.test)


def _read(path: Path, info: DatasetInfo, count: int) -> Pixels:
    images, labels = _arrays(path, info, count)
    digits = torch.from_numpy(labels.astype(np.int64)).flatten()
    outside = ((digits < 1) | (digits > 10)).nonzero()[:, 0]
    if len(outside):
        first = int(outside[0])
        raise RequestError(
            f"`{path}` has the label {int(digits[first])} at position {first} ({len(outside)} such in all); "
            "SVHN's labels lie in 1 ... 10."
        )
    return torch.from_numpy(np.ascontiguousarray(images.transpose(3, 2, 0, 1))), digits % 10


def _arrays(path: Path, info: DatasetInfo, count: int) -> tuple[np.ndarray, np.ndarray]:
    """X and y; their kind is checked before anything is read, so a hostile header cannot claim memory."""
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    channels, height, width = info.shape
    expected = {"X": (height, width, channels, count), "y": (count, 1)}
    try:
        contents = {name: (shape, kind) for name, shape, kind in whosmat(path)}
        for name, shape in expected.items():
            if name not in contents or contents[name][0] != shape or contents[name][1] not in _NUMBERS:
                raise RequestError(
                    f"`{path}` has {_described(contents.get(name))} for `{name}`; {info.title} has numbers of "
                    f"shape {shape} "
                    "here. Is it the file of another split?"
                )
        arrays = loadmat(path, variable_names=list(expected))
    except RequestError:
        raise
    except NotImplementedError:
        raise RequestError(f"`{path}` is not in MATLAB's version 5 format. Fetch the original file.") from None
    except OSError as error:
        raise RequestError(f"Cannot read `{path}`: {error.strerror or error}.") from error
    except (MatReadError, ValueError, TypeError, LookupError, EOFError, zlib.error, struct.error) as error:
        raise RequestError(f"`{path}` is cut short or no MATLAB file ({error}). Fetch it again.") from None
    if arrays["X"].dtype != np.uint8:
        raise RequestError(f"`{path}` holds pixels of type {arrays['X'].dtype}; SVHN's are uint8.")
    return arrays["X"], arrays["y"]


def _described(contents: tuple[tuple[int, ...], str] | None) -> str:
    return "nothing" if contents is None else f"{contents[1]} of shape {contents[0]}"
