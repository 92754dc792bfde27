"""The town written as a set in the form of nuScenes, once, into the cache."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightloom.common.errors import WorkError
from lightloom.common.files import make_folder
from lightloom.common.folders import hidden_folder, put_folder, settle
from lightloom.common.marks import admit, claim
from lightloom.common.progress import follow
from lightloom.data.files import cache_folder
from lightloom.data.nuscenes.write import BoxSpec, FrameSpec, SceneSpec, write_tables
from lightloom.data.toytown.config import SPLITS, VERSION, ToytownConfig
from lightloom.data.toytown.lidar import MOUNT, scan
from lightloom.data.toytown.render import FINE, Picture, set_stage, take_picture
from lightloom.data.toytown.rig import Camera, make_rig
from lightloom.data.toytown.world import STEP, Actor, World, make_world

_EDITION = 2  # of the town: a change of what is drawn makes a new folder
_QUALITY = 92
_LIDAR = "LIDAR_TOP"
_START = 1_600_000_000_000_000  # us
_APART = 1_000_000_000  # us between the starts of scenes
_LEVELS = (0.4, 0.6, 0.8)  # shares seen at which the visibility changes


def toytown(config: ToytownConfig, cache: Path | None = None) -> Path:
    """The folder of a town: made at the first call, found again at the next.

    It is made under another name and then renamed, so that it is whole or not there; of two processes that make it at
    once, one is first and the other takes what it finds.

    Args:
        config: Of the town.
        cache: Folder to keep it in; None takes `toytown` of the cache.

    Returns:
        The root of the set; its tables are in `v1.0-toytown`.

    Raises:
        RequestError: The cache cannot be written to.
        WorkError: A file could not be written.
    """
    folder = make_folder(cache if cache is not None else cache_folder() / "toytown")
    text = json.dumps({"edition": _EDITION, **config.model_dump(mode="json")}, sort_keys=True)
    place = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
    if place.is_dir():
        return place
    try:
        settle(place)
        with hidden_folder(place) as part:
            make_toytown(part, config)
            put_folder(part, place, "tables", replace=False)
    except OSError as error:
        if not place.is_dir():  # else another process was faster
            raise WorkError(f"Could not write `{place}`: {error.strerror or error}.") from error
    return place


def make_toytown(root: Path, config: ToytownConfig, *, progress: bool = True) -> Path:
    """Write the images and the tables of a town.

    Args:
        root: Folder for `samples/` and `v1.0-toytown/`; made where it is not there.
        config: Of the town.
        progress: Whether to show a bar.

    Returns:
        `root`.

    Raises:
        RequestError: `root` cannot be written to.
        WorkError: A file could not be written.
    """
    claim(root, "tables")
    for channel in (*config.cameras, *([_LIDAR] if config.lidar else [])):
        make_folder(root / "samples" / channel)
    names = {split: [f"{split}-{k:04d}" for k in range(n)] for split, n in zip(SPLITS, config.scenes, strict=True)}
    scenes: list[SceneSpec] = []
    with follow("Building the toy town", sum(config.scenes), shown=progress) as report:
        for split, called in names.items():
            for place, name in enumerate(called):
                scenes.append(_scene(root, config, split, place, name, _START + len(scenes) * _APART))
                report(len(scenes), name)
    return write_tables(scenes, root, VERSION, {split: tuple(called) for split, called in names.items()})


def _scene(root: Path, config: ToytownConfig, split: str, place: int, name: str, start: int) -> SceneSpec:
    world = make_world(config.seed, split, place, config.frames, config.reach, config.density)
    rig = make_rig(config, world.rig)
    frames = [_frame(root, config, world, rig, name, number, start) for number in range(config.frames)]
    cameras = tuple(camera.spec() for camera in rig)
    return SceneSpec(name, cameras, tuple(frames), _describe(world), lidar_translation=MOUNT)


def _frame(
    root: Path, config: ToytownConfig, world: World, rig: Sequence[Camera], name: str, number: int, start: int
) -> FrameSpec:
    actors = world.within(number, config.reach)
    stage = set_stage(world, number, actors)
    images: dict[str, str] = {}
    pictures = []
    for camera in rig:
        pictures.append(take_picture(world, number, stage, camera))
        images[camera.channel] = f"samples/{camera.channel}/{name}-{number:02d}.jpg"
        _write(root / images[camera.channel], _jpeg(pictures[-1].pixels))
    points, shares = _counted(pictures)
    cloud = ""
    if config.lidar:
        sweep = scan(world, number, stage)
        cloud, points = f"samples/{_LIDAR}/{name}-{number:02d}.pcd.bin", sweep.hits
        _write(root / cloud, sweep.points.tobytes())
    x, y = world.ego.xy[number].tolist()
    return FrameSpec(
        timestamp=start + round(number * STEP * 1e6),
        ego_translation=(x, y, 0.0),
        ego_rotation=_turned(float(world.ego.yaw[number])),
        images=images,
        boxes=tuple(_box(*row, number) for row in zip(actors, points.tolist(), shares.tolist(), strict=True)),
        lidar=cloud,
    )


def _counted(pictures: Sequence[Picture]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Whole pixels seen of each actor over all cameras, and their share of what would be seen were nothing in front."""
    visible = sum((picture.seen_pixels for picture in pictures), np.zeros_like(pictures[0].seen_pixels))
    whole = sum((picture.whole for picture in pictures), np.zeros_like(pictures[0].whole))
    return visible // FINE**2, visible / np.maximum(whole, 1)


def _box(actor: Actor, points: int, share: float, frame: int) -> BoxSpec:
    x, y = actor.xy[frame].tolist()
    return BoxSpec(
        instance=actor.name,
        category=actor.kind,
        translation=(x, y, actor.size[2] / 2),
        size=actor.size,
        rotation=_turned(float(actor.yaw[frame])),
        attribute=actor.attribute,
        visibility=str(1 + sum(share >= level for level in _LEVELS)),
        lidar_points=points,
    )


def _describe(world: World) -> str:
    way = "a straight road" if not world.road.bend else f"a bend of {1 / abs(world.road.bend):.0f} m"
    return f"{way}, {world.road.lanes} lanes each way, {len(world.actors)} objects"


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="JPEG", quality=_QUALITY, subsampling=0)
    return content.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Write a file of a folder that is not yet in its place, so it need not be pushed to the disk by itself."""
    try:
        admit(path)
        path.write_bytes(content)
    except OSError as error:
        raise WorkError(f"Could not write `{path}`: {error.strerror}. Free some space and start again.") from error


def _turned(yaw: float) -> tuple[float, float, float, float]:
    return (float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2)))
