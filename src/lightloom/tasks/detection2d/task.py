"""The task of detecting objects in images."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from lightloom.data.detection import augmentation
from lightloom.learn import Augment, DistillationModel, DistillationObjective
from lightloom.schemas import Metric
from lightloom.tasks.base import Files, Gallery, Interface, Measured, Prediction, Task, TrainingPlan
from lightloom.tasks.detection2d.build import AnyDetector, DetectionData, build_detector, read_detection_data
from lightloom.tasks.detection2d.config import Detection2DConfig
from lightloom.tasks.detection2d.gallery import DetectionGallery
from lightloom.tasks.detection2d.objective import Detection2DObjective
from lightloom.tasks.detection2d.predict import predict_images
from lightloom.tasks.hybrid.teaching import few, first_difference, start_from

_ABSENT = -1
"""What COCO writes where there is nothing to find, as no object of that size."""


class Detection2DTask(Task[Detection2DConfig]):
    """Objects are found in images, with a box and a class each."""

    name = "detection2d"
    title = "detect objects in images"
    config = Detection2DConfig
    metric = Metric(name="AP")
    samples = "images"
    shared = ("classes",)
    predicts = True

    def data(self, config: Detection2DConfig) -> DetectionData:
        """Letterboxed images with boxes."""
        return read_detection_data(config.data, config.seed)

    def forget(self) -> None:
        """Read files anew at the next call."""
        read_detection_data.cache_clear()

    def interface(self, data: DetectionData) -> Interface:
        """The classes, and what is white in images of more than 8 bits."""
        return {"classes": list(data.classes)} | ({} if data.white is None else {"white": data.white})

    def augment(self, config: Detection2DConfig, on_chip: bool) -> Augment | None:
        """Flips, scales and colours, as the config asks for them.

        Args:
            config: Config of the run, or of one case of it.
            on_chip: For learning on the chip, and not for training the electronic model.
        """
        return augmentation(config.data.augment)

    def difference(self, config: Detection2DConfig, first: Detection2DConfig) -> str | None:
        """The key in which two cases look at other images, see `Task.difference`.

        Args:
            config: Config of the run, or of one case of it.
            first: Config of the first case.
        """
        own, other = (each.data.model_dump(exclude={"augment", "limit"}) for each in (config, first))
        key = first_difference(own, other)
        return None if key is None else f"data.{key}"

    def model(self, config: Detection2DConfig, interface: Interface, data: DetectionData | None = None) -> AnyDetector:
        """The detector of the config, see `build_detector`.

        Args:
            config: Config of the run, or of one case of it.
            interface: Shapes and classes of the data.
            data: What `data` has read.
        """
        return build_detector(config, len(interface["classes"]), pretrained=data is not None)

    def objective(self, model: nn.Module, config: Detection2DConfig) -> Detection2DObjective:
        """The detector's own loss, and COCO's metrics.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
        """
        return Detection2DObjective(_detector(model))

    def measure(self, model: nn.Module, config: Detection2DConfig, data: Any) -> Measured:
        """COCO's metrics, AP of each class, and as predictions the precision and the detections.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
            data: What `data` has read.
        """
        precision, detections = self.objective(model, config).measure(model, data)
        metrics = {name: math.nan if value == _ABSENT else value for name, value in precision.metrics.items()}
        return Measured(metrics, dict(precision.per_class), (precision, detections))

    def teacher(self, config: Detection2DConfig) -> str:
        """The case or run that `distil.teacher` names."""
        return config.distil.teacher

    def plan(
        self, model: nn.Module, config: Detection2DConfig, data: DetectionData, teacher: nn.Module | None
    ) -> TrainingPlan:
        """The detector, or the detector with its teacher.

        What follows the backbone waits while distillation trains alone, as published.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
            data: What `data` has read.
            teacher: The teacher, where the config names one.
        """
        objective = self.objective(model, config)
        if teacher is None:
            return TrainingPlan(model, objective)
        student = _detector(model)
        if config.start == "teacher":
            start_from(student, teacher)
        frozen = student.head_modules if config.distil.strategy == "two" else ()
        distillation = DistillationObjective(objective, config.distil, frozen)
        pair = DistillationModel(student, teacher, few(data.train), config.distil)
        return TrainingPlan(pair, distillation, distillation.prepare)

    def gallery(self, files: Files, config: Detection2DConfig, data: DetectionData) -> Gallery:
        """Detections, precision over recall, masks and light.

        Args:
            files: Where files of the run are written.
            config: Config of the run, or of one case of it.
            data: What `data` has read.
        """
        return DetectionGallery(files, data, config.pictures)

    def facts(self, data: DetectionData) -> dict[str, Any]:
        """The classes, and how many images there are."""
        return {"classes": list(data.classes), "train": len(data.train), "test": len(data.test)}

    def predict(
        self, model: nn.Module, config: Detection2DConfig, interface: Interface, request: Prediction
    ) -> dict[str, Any]:
        """Objects in image files, see `predict_images`.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
            interface: Shapes and classes of the data.
            request: What the user gives, and where answers go.
        """
        return predict_images(_detector(model), config, interface, request)


def _detector(model: nn.Module) -> Any:
    """Ours or one of `transformers`, which have the same methods."""
    return model
