"""What a run that detects leaves of its detections: `detections.json` with its pictures, and `pr.json`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lightloom.common.errors import RequestError
from lightloom.schemas import DetectionFile, ImagePrecision, PrecisionFile, read

if TYPE_CHECKING:
    from PIL.Image import Image


class Detections(NamedTuple):
    """What is listed, and the picture of each image in it."""

    listed: DetectionFile
    pictures: tuple[Image, ...]

    @property
    def cases(self) -> tuple[str, ...]:
        """Every case that looked at an image, in order of appearance."""
        return tuple(dict.fromkeys(case for image in self.listed.images for case in image.cases))


def read_detections(path: Path) -> Detections | None:
    """What was found in each picture, None where the file is absent.

    Raises:
        RequestError: The file or a picture that it names cannot be read.
    """
    record = read(path, DetectionFile, None)
    if record is None:
        return None
    return Detections(
        record, tuple(read_picture(path, image.file, (image.width, image.height)) for image in record.images)
    )


def read_precisions(path: Path) -> tuple[ImagePrecision, ...]:
    """The curves in `pr.json`, none where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return tuple(read(path, PrecisionFile, PrecisionFile()).curves)


def read_picture(path: Path, name: str, stated: tuple[int, int]) -> Image:
    """The picture that a list in a run folder names; nothing outside that folder is opened.

    Args:
        path: Of the list.
        name: Of the picture, from the folder of the list.
        stated: Width and height in px that the list gives it.

    Raises:
        RequestError: It is outside the folder, missing, no picture, or of another size.
    """
    from PIL import Image as pil

    folder, file = path.parent.resolve(), (path.parent / name).resolve()
    if not file.is_relative_to(folder):
        raise RequestError(f"`{path}` names the picture `{name}`, which is outside the run folder.")
    if not file.is_file():
        raise RequestError(f"`{path}` names the picture `{name}`, which is missing. Put it back, or remove both.")
    try:
        with pil.open(file) as opened:
            if opened.size == stated:
                return opened.convert("RGB")
            size = opened.size
    except (OSError, SyntaxError, ValueError, pil.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise RequestError(f"`{file}`, which `{path.name}` names, is no picture that can be read: {reason}.") from None
    raise RequestError(
        f"`{file}` is {size[0]} x {size[1]} px; `{path.name}` says {stated[0]} x {stated[1]}, "
        "so its boxes would lie elsewhere."
    )
