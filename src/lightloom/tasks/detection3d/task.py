"""The task of detecting boxes around a vehicle."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.data.multicamera import Views, view_augmentation
from lightloom.learn import Augment, DistillationModel, DistillationObjective
from lightloom.schemas import Metric
from lightloom.tasks.base import Files, Gallery, Interface, Measured, Prediction, Task, TrainingPlan
from lightloom.tasks.detection3d.build import MultiCameraData, build_detector3d, read_multicamera_data
from lightloom.tasks.detection3d.config import Detection3DConfig
from lightloom.tasks.detection3d.detector import Detector3D
from lightloom.tasks.detection3d.distillers import build_distiller
from lightloom.tasks.detection3d.gallery import MultiCameraGallery
from lightloom.tasks.detection3d.objective import Detection3DObjective
from lightloom.tasks.detection3d.predict import predict_samples
from lightloom.tasks.hybrid.teaching import few, first_difference, start_from


class Detection3DTask(Task[Detection3DConfig]):
    """Boxes are found around a vehicle, from the images of its cameras."""

    name = "detection3d"
    title = "detect boxes around a vehicle"
    config = Detection3DConfig
    metric = Metric(name="NDS")
    samples = "samples"
    shared = ("classes",)
    predicts = True

    def data(self, config: Detection3DConfig) -> MultiCameraData:
        """Letterboxed samples with boxes."""
        size = config.model.detector
        return read_multicamera_data(config.data, size.area, size.history, config.seed)

    def forget(self) -> None:
        """Read files anew at the next call."""
        read_multicamera_data.cache_clear()

    def example(self, data: MultiCameraData) -> Views:
        """The last view of one moment alone: what a detector sees each time as it drives."""
        return Views(*(part[:1, -1:] for part in data.test.inputs[torch.tensor([0])]))

    def interface(self, data: MultiCameraData) -> Interface:
        """The classes, and the cameras in the order of the weights."""
        return {"classes": list(data.classes), "channels": list(data.channels)}

    def augment(self, config: Detection3DConfig, on_chip: bool) -> Augment | None:
        """Flips and colours of views, as the config asks for them.

        Args:
            config: Config of the run, or of one case of it.
            on_chip: For learning on the chip, and not for training the electronic model.
        """
        return view_augmentation(config.data.augment)

    def difference(self, config: Detection3DConfig, first: Detection3DConfig) -> str | None:
        """The key in which two cases look at other moments, see `Task.difference`.

        Args:
            config: Config of the run, or of one case of it.
            first: Config of the first case.
        """
        own, other = (each.data.model_dump(exclude={"augment", "limit"}) for each in (config, first))
        key = first_difference(own, other)
        if key is not None:
            return f"data.{key}"
        own, other = (each.model.detector.model_dump() for each in (config, first))
        key = first_difference(own, other, ("area", "history"))
        return None if key is None else f"model.detector.{key}"

    def model(self, config: Detection3DConfig, interface: Interface, data: MultiCameraData | None = None) -> Detector3D:
        """The detector of the config, see `build_detector3d`.

        Args:
            config: Config of the run, or of one case of it.
            interface: Shapes and classes of the data.
            data: What `data` has read.
        """
        return build_detector3d(config, len(interface["classes"]), pretrained=data is not None)

    def objective(self, model: nn.Module, config: Detection3DConfig) -> Detection3DObjective:
        """The detector's own loss, and nuScenes' metrics.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
        """
        assert isinstance(model, Detector3D)
        return Detection3DObjective(model)

    def measure(self, model: nn.Module, config: Detection3DConfig, data: Any) -> Measured:
        """NuScenes' metrics, AP of each class, and as predictions the figures and the boxes.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
            data: What `data` has read.
        """
        figures, boxes = self.objective(model, config).measure(model, data)
        return Measured(dict(figures.means), dict(figures.per_class), (figures, boxes))

    def teacher(self, config: Detection3DConfig) -> str:
        """The case or run that `distil.teacher` names."""
        return config.distil.teacher

    def plan(
        self, model: nn.Module, config: Detection3DConfig, data: MultiCameraData, teacher: nn.Module | None
    ) -> TrainingPlan:
        """The detector, or the detector with its teacher and what guides it to where objects are.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
            data: What `data` has read.
            teacher: The teacher, where the config names one.
        """
        objective = self.objective(model, config)
        if teacher is None:
            return TrainingPlan(model, objective)
        assert isinstance(model, Detector3D)
        assert isinstance(teacher, Detector3D)
        _take_first_weights(model, teacher, config.start)
        sample = few(data.train)
        assert isinstance(sample, Views)
        torch.manual_seed(named_seed(config.seed, "pupil"))
        distiller = build_distiller(config.guide, model, teacher, sample)
        frozen = model.head_modules if config.distil.strategy == "two" else ()
        distillation = DistillationObjective(objective, config.distil, frozen)
        pair = DistillationModel(model, teacher, sample, config.distil, distiller=distiller)
        return TrainingPlan(pair, distillation, distillation.prepare)

    def gallery(self, files: Files, config: Detection3DConfig, data: MultiCameraData) -> Gallery:
        """Boxes, curves, maps from above, results files and light.

        Args:
            files: Where files of the run are written.
            config: Config of the run, or of one case of it.
            data: What `data` has read.
        """
        return MultiCameraGallery(files, config, data)

    def facts(self, data: MultiCameraData) -> dict[str, Any]:
        """The classes, the cameras, and how many moments there are."""
        counts = {"train": len(data.train), "test": len(data.test)}
        return {"classes": list(data.classes), "channels": list(data.channels), **counts}

    def predict(
        self, model: nn.Module, config: Detection3DConfig, interface: Interface, request: Prediction
    ) -> dict[str, Any]:
        """Boxes at moments of a set, see `predict_samples`.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
            interface: Shapes and classes of the data.
            request: What the user gives, and where answers go.
        """
        assert isinstance(model, Detector3D)
        return predict_samples(model, config, interface, request)


def _take_first_weights(student: Detector3D, teacher: Detector3D, start: str) -> None:
    """Take those of the teacher that are asked for."""
    if start == "teacher":
        start_from(student, teacher)
    if start != "head":
        return
    for field in ("kind", "channels"):
        own, other = getattr(student.config, field), getattr(teacher.config, field)
        if own != other:
            raise RequestError(
                f"`start: head` takes the teacher's decoder, and `detector.{field}` is {own} here and {other} there; "
                "give both the same, or leave `start` out."
            )
    start_from(student.decoder, teacher.decoder)
