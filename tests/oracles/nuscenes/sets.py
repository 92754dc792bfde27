"""Sets of true and found boxes that both evaluations are given, the same in every run and on every machine.

They are drawn by `numpy.random.RandomState`, whose streams numpy has promised never to change.
"""

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lightloom.data.nuscenes.classes import ATTRIBUTES, CLASSES
from lightloom.data.nuscenes.geometry import Pose, rotation_matrix
from lightloom.metrics.nuscenes import Racks, Results, Truth, likely_attributes

SIZES = {"car": (1.9, 4.6, 1.7), "pedestrian": (0.7, 0.7, 1.8), "traffic_cone": (0.4, 0.4, 1.0)}


class Set(NamedTuple):
    tokens: tuple[str, ...]
    truth: Truth
    found: Results
    ego: np.ndarray
    racks: Racks


def mixed(seed: int = 0, samples: int = 24, labels: tuple[int, ...] = tuple(range(10))) -> Set:
    """All that can happen: frames without boxes, far boxes, boxes without a point, NaN, no attribute, racks, misses."""
    draw = np.random.RandomState(seed)
    counts = draw.randint(0, 30, samples) * (draw.rand(samples) > 0.15)
    sample = np.repeat(np.arange(samples), counts)
    ego = draw.uniform(-500, 500, (samples, 3))
    n = len(sample)
    kinds = draw.choice(labels, n)
    sizes = np.array([SIZES.get(CLASSES[kind], (2.0, 5.0, 2.0)) for kind in kinds]) * draw.uniform(0.8, 1.3, (n, 3))
    velocities = draw.normal(0, 2, (n, 2)) * (draw.rand(n, 1) > 0.4)
    velocities[draw.rand(n) < 0.15] = np.nan
    attributes = likely_attributes(kinds, velocities, CLASSES)
    attributes[draw.rand(n) < 0.1] = ""
    truth = Truth(
        sample=sample,
        centers=ego[sample] + draw.uniform(-1, 1, (n, 3)) * (38, 38, 1),
        sizes=sizes,
        yaws=draw.uniform(-np.pi, np.pi, n),
        velocities=velocities,
        labels=kinds,
        attributes=attributes,
        points=draw.choice((0, 1, 2, 40), n),
    )
    return Set(_tokens(samples), truth, perturbed(truth, draw), ego, _racks(truth, draw))


def perturbed(truth: Truth, draw: np.random.RandomState) -> Results:
    """What a middling detector might find: three boxes in four, some twice, all a little off, and false ones."""
    kept = np.concatenate([np.flatnonzero(draw.rand(len(truth)) < share) for share in (0.75, 0.2)])
    near, far = truth.chosen(kept), truth.chosen(draw.permutation(len(truth))[: len(truth) // 3])
    offsets = draw.normal(0, 1, (len(near), 3)) * draw.gamma(1, 0.6, (len(near), 1))
    wide = draw.uniform(-15, 15, (len(far), 3)) * (1, 1, 0.1)
    velocities = np.nan_to_num(np.concatenate([near.velocities, far.velocities]))
    velocities = velocities + draw.normal(0, 0.7, velocities.shape)
    labels = np.concatenate([near.labels, far.labels])
    count = len(labels)
    likely = likely_attributes(labels, velocities, CLASSES)
    attributes = np.where(draw.rand(count) < 0.15, draw.choice(ATTRIBUTES, count), likely)
    shuffled = Results(
        sample=np.concatenate([near.sample, far.sample]),
        centers=np.concatenate([near.centers + offsets, far.centers + wide]),
        sizes=np.concatenate([near.sizes, far.sizes]) * np.exp(draw.normal(0, 0.15, (count, 3))),
        yaws=np.concatenate([near.yaws, far.yaws]) + draw.normal(0, 0.5, count) + np.pi * (draw.rand(count) < 0.1),
        velocities=velocities,
        labels=labels,
        attributes=attributes,
        scores=draw.beta(2, 2, count) * np.concatenate([np.ones(len(near)), np.full(len(far), 0.7)]),
    )
    return shuffled.chosen(np.argsort(shuffled.sample, kind="stable"))


def ties(seed: int = 1) -> Set:
    """Scores in steps of a quarter, 0 among them, and centres on a grid: many are equal, or equally near."""
    given = mixed(seed, 16, (0, 8, 9))

    def on_grid(boxes: Any) -> np.ndarray:
        return np.round(boxes.centers - given.ego[boxes.sample]) + np.round(given.ego[boxes.sample])

    truth, found = vars(given.truth) | {"centers": on_grid(given.truth)}, vars(given.found)
    found = found | {"centers": on_grid(given.found), "scores": np.round(given.found.scores * 4) / 4}
    return given._replace(truth=Truth(**truth), found=Results(**found), ego=np.round(given.ego))


def scarce(seed: int = 2) -> Set:
    """So few boxes found that most classes stay below the least recall; one is found by the score 0 alone."""
    given = mixed(seed, 24)
    few = given.found.chosen(np.arange(0, len(given.found), 12))
    scores = np.where(few.labels == 8, 0.0, few.scores)
    return given._replace(found=Results(**(vars(few) | {"scores": scores})))


def perfect(seed: int = 3) -> Set:
    """The truth itself, with all that is known of it."""
    given = mixed(seed, 12)
    fields = {key: value for key, value in vars(given.truth).items() if key != "points"}
    scores = np.linspace(0.9, 0.1, len(given.truth))
    return given._replace(found=Results(**fields, scores=scores))


def synthetic() -> dict[str, Set]:
    return {
        "mixed": mixed(),
        "six classes": mixed(4, 20, (0, 1, 5, 6, 7, 8)),
        "ties": ties(),
        "scarce": scarce(),
        "perfect": perfect(),
    }


def mini_val(root: Path) -> Set:
    """The 81 key frames of the validation part of v1.0-mini, brought from LiDAR to global frames, and perturbed.

    The sizes of the source are (w, l, h), and its angle a gives the heading -a - pi/2 from x. Attributes are the
    likely ones, a tenth of them left out: the source has none.
    """
    file = root / "nuscenes_real" / "mini_infos" / "nuscenes_infos_val.json.gz"
    frames = json.loads(gzip.decompress(file.read_bytes()))["infos"]
    draw = np.random.RandomState(5)
    boxes = [_global_boxes(number, frame) for number, frame in enumerate(frames)]
    sample, names, points, numbers = (np.concatenate([own[part] for own in boxes]) for part in range(4))
    rack = names == "static_object.bicycle_rack"
    known = np.isin(names, CLASSES)
    labels = np.array([CLASSES.index(name) for name in names[known]])
    velocities = numbers[known, 7:]
    attributes = likely_attributes(labels, velocities, CLASSES)
    attributes[draw.rand(len(labels)) < 0.1] = ""
    truth = Truth(
        sample=sample[known],
        centers=numbers[known, :3],
        sizes=numbers[known, 3:6],
        yaws=numbers[known, 6],
        velocities=velocities,
        labels=labels,
        attributes=attributes,
        points=points[known],
    )
    half = numbers[rack, 6] / 2
    rotations = np.stack([np.cos(half), 0 * half, 0 * half, np.sin(half)], axis=1)
    racks = Racks(sample[rack], numbers[rack, :3], numbers[rack, 3:6], rotations)
    ego = np.array([frame["ego2global_translation"] for frame in frames])
    return Set(tuple(frame["token"] for frame in frames), truth, perturbed(truth, draw), ego, racks)


def _global_boxes(number: int, frame: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """Samples, names, points, and x, y, z, w, l, h, yaw, vx, vy of the boxes of one frame."""
    given, moving = np.array(frame["gt_boxes"]).reshape(-1, 7), np.array(frame["gt_velocity"]).reshape(-1, 2)
    lidar, ego = (
        Pose(rotation_matrix(frame[f"{name}_rotation"]), np.array(frame[f"{name}_translation"]))
        for name in ("lidar2ego", "ego2global")
    )
    turn = ego.rotation @ lidar.rotation
    angle = -given[:, 6] - np.pi / 2
    ahead = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) @ turn.T
    going = np.concatenate([moving, np.zeros((len(moving), 1))], axis=1) @ turn.T
    centers = ego.to_parent(lidar.to_parent(given[:, :3]))
    numbers = np.column_stack([centers, given[:, 3:6], np.arctan2(ahead[:, 1], ahead[:, 0]), going[:, :2]])
    points = np.array(frame["num_lidar_pts"], dtype=np.int64) + np.array(frame["num_radar_pts"], dtype=np.int64)
    return np.full(len(given), number), np.array(frame["gt_names"], dtype=np.str_), points, numbers


def as_numbers(given: Set) -> dict[str, Any]:
    """The set as `judge.py boxes` reads it."""
    samples: dict[str, Any] = {
        token: {"ego": ego, "racks": [], "truth": [], "found": []}
        for token, ego in zip(given.tokens, given.ego.tolist(), strict=True)
    }
    for place, center, size, rotation in zip(*(part.tolist() for part in vars(given.racks).values()), strict=True):
        samples[given.tokens[place]]["racks"].append({"translation": center, "size": size, "rotation": rotation})
    for side, boxes in (("truth", given.truth), ("found", given.found)):
        last = given.truth.points if side == "truth" else given.found.scores
        for row in zip(*(part.tolist() for part in list(vars(boxes).values())[:7]), last.tolist(), strict=True):
            place, center, size, yaw, velocity, label, attribute, value = row
            box = {
                "sample_token": given.tokens[place],
                "translation": center,
                "size": size,
                "rotation": [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)],
                "velocity": velocity,
                "detection_name": CLASSES[label],
                "attribute_name": attribute,
            }
            box["num_pts" if side == "truth" else "detection_score"] = value
            samples[given.tokens[place]][side].append(box)
    return samples


def _racks(truth: Truth, draw: np.random.RandomState) -> Racks:
    """Tilted racks about every other bicycle and motorcycle, and some where there is none."""
    cycles = np.flatnonzero(np.isin(truth.labels, [CLASSES.index("bicycle"), CLASSES.index("motorcycle")]))
    inside, beside = cycles[::2], np.arange(0, len(truth), 17)
    centers = np.concatenate([truth.centers[inside] + 0.3, truth.centers[beside] + (9, 0, 0)])
    turns = draw.normal(0, 1, (len(centers), 4)) * (1, 0.05, 0.05, 1)
    sizes = draw.uniform((1, 2, 1), (3, 8, 2), (len(centers), 3))
    return Racks(truth.sample[np.concatenate([inside, beside])], centers, sizes, turns)


def _tokens(samples: int) -> tuple[str, ...]:
    return tuple(f"sample-{number:03}" for number in range(samples))
