"""The task of classifying images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.data import Splits, crop_and_flip, on_images
from lightloom.learn import Augment
from lightloom.schemas import Metric
from lightloom.tasks.base import Files, Interface, Observer, Subject, Task
from lightloom.tasks.classification.config import ClassificationConfig, DataConfig
from lightloom.tasks.classification.memory import check_sizes
from lightloom.tasks.classification.models import replace_head
from lightloom.tasks.classification.network import build_network, interface_of, read_images, with_optical_backward
from lightloom.tasks.classification.objective import Classify
from lightloom.tasks.classification.observer import ClassificationObserver, write_curves


class ClassificationTask(Task[ClassificationConfig]):
    """Images are told apart by the largest output of a network."""

    name = "classification"
    title = "classify images"
    config = ClassificationConfig
    metric = Metric(name="accuracy")
    samples = "images"
    classifies = True

    def check(self, config: ClassificationConfig) -> None:
        """Refuse images and a network that do not fit into memory."""
        check_sizes(config)

    def data(self, config: ClassificationConfig) -> Splits:
        """The images of the electronic training."""
        self.check(config)
        return read_images(config.data, config.seed)

    def forget(self) -> None:
        """Read files anew at the next call."""
        read_images.cache_clear()

    def chip_data(self, config: ClassificationConfig) -> Splits:
        """The images that the chip learns and is measured on: those of `transfer`, where it is given."""
        if config.transfer is None:
            return self.data(config)
        transfer, splits = self._transfer(config), self.data(config)
        chip_splits = read_images(transfer, config.seed)
        if chip_splits.shape != splits.shape:
            raise RequestError(
                f"The images of `{chip_splits.name}` have the shape {chip_splits.shape}, those of `{splits.name}` have "
                f"{splits.shape}; make them one by `transfer.size=N` or `data.size=N`."
            )
        return chip_splits

    @staticmethod
    def _transfer(config: ClassificationConfig) -> DataConfig:
        assert config.transfer is not None
        return config.transfer if config.transfer.root else config.transfer.replace(root=config.data.root)

    def interface(self, data: Splits) -> Interface:
        """Shape of an image and names of the classes."""
        return interface_of(data)

    def augment(self, config: ClassificationConfig, on_chip: bool) -> Augment | None:
        """Crops and mirrored images, where the images ask for them.

        Args:
            config: Config of the run, or of one case of it.
            on_chip: For learning on the chip, and not for training the electronic model.
        """
        data = (config.transfer if on_chip else None) or config.data
        return on_images(crop_and_flip) if data.augment else None

    def chance(self, data: Splits) -> float:
        """One over the number of classes."""
        return 1 / len(data.classes)

    def model(self, config: ClassificationConfig, interface: Interface, data: Splits | None = None) -> nn.Module:
        """The network of the config, see `build_network`.

        Args:
            config: Config of the run, or of one case of it.
            interface: Shapes and classes of the data.
            data: What `data` has read.
        """
        return build_network(config, interface, data)

    def adapt(self, model: nn.Module, config: ClassificationConfig, chip_interface: Interface) -> None:
        """Draw a new last layer where the chip learns other images than the electronic network.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
            chip_interface: Shapes and classes of what the chip learns.
        """
        if config.transfer is not None:
            torch.manual_seed(named_seed(config.seed, "head"))
            replace_head(model, len(chip_interface["classes"]))

    def forward_model(self, model: nn.Module, config: ClassificationConfig) -> nn.Module:
        """The network with the backward pass of light, where the config asks for it.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
        """
        return with_optical_backward(model, config)

    def objective(self, model: nn.Module, config: ClassificationConfig) -> Classify:
        """Cross-entropy or squared error, and accuracy.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
        """
        return Classify(criterion=config.criterion)

    def observer(self, files: Files, config: ClassificationConfig, data: Splits, subject: Subject) -> Observer:
        """Angles between gradients, and the light of diffractive networks.

        Args:
            files: Where files of the run are written.
            config: Config of the run, or of one case of it.
            data: What `data` has read.
            subject: What is trained, for the lines that are noted.
        """
        return ClassificationObserver(files, config, data, subject)

    def compared(self, files: Files, configs: Sequence[ClassificationConfig]) -> None:
        """Write the response of every absorber in the comparison.

        Args:
            files: Where files of the run are written.
            configs: Configs of all cases.
        """
        write_curves(files, configs)

    def facts(self, data: Any) -> dict[str, Any]:
        """Name of the set, shape of an image and the classes."""
        return {"name": data.name, "shape": list(data.shape), "classes": list(data.classes)}
