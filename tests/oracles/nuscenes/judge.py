"""The official nuScenes evaluation, run by a Python that has the devkit; it prints its figures as JSON.

judge.py boxes FILE                       boxes as numbers: {token: {"ego", "racks", "truth", "found"}}
judge.py tables ROOT VERSION SPLIT FILE   a whole set, a split of its splits.json, and a results file
"""

import contextlib
import io
import json
import math
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

DRAWING = (
    *("matplotlib", "matplotlib.axes", "matplotlib.backends", "matplotlib.backends.backend_agg", "matplotlib.patches"),
    *("matplotlib.pyplot", "cv2", "sklearn", "sklearn.metrics"),
)
for name in DRAWING:  # imported by the devkit, called by nothing here: the environment stays small without them
    sys.modules[name] = MagicMock()

from nuscenes import NuScenes  # noqa: E402
from nuscenes.eval.common.config import config_factory  # noqa: E402
from nuscenes.eval.common.data_classes import EvalBoxes  # noqa: E402
from nuscenes.eval.common.loaders import add_center_dist, filter_eval_boxes  # noqa: E402
from nuscenes.eval.detection.data_classes import DetectionBox  # noqa: E402
from nuscenes.eval.detection.evaluate import DetectionEval  # noqa: E402

ERRORS = {"trans_err": "ATE", "scale_err": "ASE", "orient_err": "AOE", "vel_err": "AVE", "attr_err": "AAE"}
CONFIG = config_factory("detection_cvpr_2019")


class Lookup:
    """Stands for the tables where there are none: answers what the devkit asks of a sample."""

    def __init__(self, samples):
        self.samples = samples

    def get(self, table, token):
        if table == "sample":
            racks = [f"{token}/{number}" for number in range(len(self.samples[token]["racks"]))]
            return {"data": {"LIDAR_TOP": token}, "anns": racks}
        if table == "sample_data":
            return {"ego_pose_token": token}
        if table == "ego_pose":
            return {"translation": self.samples[token]["ego"]}
        sample, number = token.rsplit("/", 1)
        return {**self.samples[sample]["racks"][int(number)], "category_name": "static_object.bicycle_rack"}


def of_boxes(file):
    samples = json.loads(Path(file).read_text())
    judge = DetectionEval.__new__(DetectionEval)  # its constructor reads tables
    judge.cfg, judge.verbose = CONFIG, False
    for side, name in (("truth", "gt_boxes"), ("found", "pred_boxes")):
        given = {token: sample[side] for token, sample in samples.items()}
        boxes = add_center_dist(Lookup(samples), EvalBoxes.deserialize(given, DetectionBox))
        setattr(judge, name, filter_eval_boxes(Lookup(samples), boxes, CONFIG.class_range))
    return judge.evaluate()


def of_tables(root, version, split, file):
    with tempfile.TemporaryDirectory() as scratch:
        tables = NuScenes(version=version, dataroot=root, verbose=False)
        return DetectionEval(tables, CONFIG, file, split, scratch, verbose=False).evaluate()


def as_json(metrics, curves):
    errors = {
        name: {ERRORS[key]: None if math.isnan(value) else value for key, value in values.items()}
        for name, values in metrics.serialize()["label_tp_errors"].items()
    }
    return {
        "NDS": metrics.nd_score,
        "mAP": metrics.mean_ap,
        **{f"m{ERRORS[key]}": value for key, value in metrics.tp_errors.items()},
        "precisions": {name: {str(at): float(value) for at, value in own.items()} for name, own in _aps(metrics)},
        "errors": errors,
        "curves": {f"{name}:{at}": values.precision.tolist() for (name, at), values in curves.md.items()},
    }


def _aps(metrics):
    return metrics.serialize()["label_aps"].items()


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()):
        answer = as_json(*{"boxes": of_boxes, "tables": of_tables}[sys.argv[1]](*sys.argv[2:]))
    sys.stdout.write(json.dumps(answer) + "\n")
