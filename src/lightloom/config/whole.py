"""The whole of a run in one frozen description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from lightloom.chips import AnyChip, Chip, MeshChip, PCMChip, preset
from lightloom.common.config import Section, at_least, at_most
from lightloom.config.detection import DetectConfig
from lightloom.config.detection3d import Detect3DConfig
from lightloom.config.parts import BenchConfig, DataConfig, ModelConfig, OpticsConfig, SweepConfig, WearConfig
from lightloom.cost import System
from lightloom.learn import Sampling, TrainConfig, WriteAware, sampling_preset

ELECTRONICS = "electronics"
"""Where `places` keeps a layer off every chip."""
StageName = Literal["train", "program", "calibrate", "map", "learn", "reorder", "sweep", "evaluate", "cost", "report"]


class RunConfig(Section):
    """Everything that decides the outcome of a run."""

    recipe: str
    """Recipe that this comes from."""
    changes: tuple[str, ...] = ()
    """What was changed from the recipe, as it was written; for the record only."""
    seed: int = Field(0, ge=0)
    """Seed of the training: first weights, order of the images, validation split."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes a GPU where there is one."""
    threads: Annotated[
        int | None, at_most(1024, "no machine has as many cores, and each thread takes memory before it does anything")
    ] = Field(None, ge=1)
    """CPU threads; None leaves torch's choice. More threads add in another order, so last digits differ."""
    memory_gb: Annotated[float | None, at_least(1e-3, "not even the digits fit into that")] = Field(None, gt=0)
    """Memory that images and network of a classifier may take, in 10^9 bytes; None is that of the machine. What is
    estimated to need more is refused before anything is made."""
    task: Literal["classify", "detect", "detect3d"] = "classify"
    """classify images, detect objects in them as `detect` describes, or around a vehicle as `detect3d` does."""
    stages: tuple[StageName, ...] = ("train", "program", "calibrate", "map", "learn", "evaluate", "cost", "report")
    """What is done, in order."""
    data: DataConfig = DataConfig()
    transfer: DataConfig | None = None
    """Images that the chip learns and is measured on, with a new last layer; None is those of `data`.

    Its `root` is that of `data` where it has none.
    """
    model: ModelConfig = ModelConfig()
    detect: DetectConfig = DetectConfig()
    """Scenes, detector and teacher, for the task `detect`."""
    detect3d: Detect3DConfig = Detect3DConfig()
    """Moments, detector and teacher, for the task `detect3d`."""
    optics: OpticsConfig = OpticsConfig()
    """Saturable absorbers, and training with light."""
    criterion: Literal["cross_entropy", "mse"] = "cross_entropy"
    """Loss of every training; mse is the mean square of outputs minus one-hot targets, over images and classes."""
    train: TrainConfig = TrainConfig()
    """Electronic training, and that of each case of a comparison."""
    chip: AnyChip = preset("l2ight")
    """Hardware; a preset's name stands for the preset."""
    specimen: int = Field(0, ge=0)
    """Which manufactured chip."""
    electronic: tuple[str, ...] = ()
    """Layers to keep off the chip, by name or glob."""
    places: dict[str, AnyChip | None] = Field(default_factory=dict)
    """Layers that go elsewhere than on `chip`, by name or glob, such as `{"features.*": elight, head: electronics}`;
    the first that fits counts. Each is a chip, or None for electronics."""
    bench: BenchConfig = BenchConfig()
    """Calibration and mapping."""
    learn: TrainConfig = TrainConfig()
    """Learning on the chip."""
    sampling: Sampling = Sampling()
    """Which part of the learning is measured; a preset's name stands for the preset."""
    system: System = System()
    """How the chips are run, and what stands around them, for the cost."""
    writes: WriteAware = WriteAware()
    """What learning on a PCM chip pays for writes."""
    wear: WearConfig = WearConfig()
    """How long the cells of a PCM chip are to last."""
    sweep: SweepConfig = SweepConfig()
    """What the stage `sweep` compares."""

    @field_validator("chip", mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        return preset(given) if isinstance(given, str) else given

    @field_validator("places", mode="before")
    @classmethod
    def _preset_places(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {name: _place(place) for name, place in given.items()}

    @field_validator("sampling", mode="before")
    @classmethod
    def _sampling_preset(cls, given: Any) -> Any:
        return sampling_preset(given) if isinstance(given, str) else given

    @property
    def chips(self) -> tuple[Chip, ...]:
        """All hardware that layers may go on."""
        return (self.chip, *(place for place in self.places.values() if place is not None))

    @model_validator(mode="after")
    def _optics_have_somebody_to_serve(self) -> Self:
        optics, plain = self.optics, OpticsConfig()
        if "program" in self.stages:
            if optics.on_chip:
                raise ValueError("`optics.on_chip` trains on the chip from the start; leave `program` out of `stages`")
            if optics.weight_range or optics.weight_norm:
                raise ValueError(
                    "a chip limits its weights itself; leave `optics.weight_range` and `optics.weight_norm` out, or "
                    "`program` and what follows out of `stages`"
                )
        unused = [
            name for name in ("absorber", "gradient", "trainable") if getattr(optics, name) != getattr(plain, name)
        ]
        if unused and self.model.activation != "absorber" and "sweep" not in self.stages:
            raise ValueError(
                f"`optics.{unused[0]}` is for absorbers and the network has none; add `model.activation=absorber` with "
                "`model.name=optical-mlp` or `optical-cnn`"
            )
        return self

    @model_validator(mode="after")
    def _detectors_are_compared(self) -> Self:
        foreign = [stage for stage in self.stages if stage not in ("sweep", "evaluate", "cost", "report")]
        if self.task != "classify" and foreign:
            raise ValueError(
                f"detectors are trained as cases of a comparison, so `{foreign[0]}` is no stage of theirs; "
                "take `stages=[sweep,evaluate,cost,report]`"
            )
        return self

    @model_validator(mode="after")
    def _fits_the_technology(self) -> Self:
        meshes = [chip for chip in self.chips if isinstance(chip, MeshChip)]
        crossbars = [chip for chip in self.chips if isinstance(chip, PCMChip)]
        if "reorder" in self.stages and not crossbars:
            raise ValueError(f"`reorder` is for PCM chips, and `{self.chip.name}` is not; leave it out of `stages`")
        if self.writes.strength > 0 and not crossbars:
            raise ValueError(
                f"meshes such as `{self.chip.name}` are not written, so there is nothing to pay for by `writes`"
            )
        if self.optics.light.active and self.sampling != Sampling():
            raise ValueError(
                "`sampling` thins gradients that a mesh measures one by one; leave it out with `optics.light`"
            )
        if self.sampling != Sampling() and not meshes:
            raise ValueError(f"`sampling` is for gradients measured on meshes, and `{self.chip.name}` has none")
        for chip in meshes if {"calibrate", "map"} & set(self.stages) else ():
            if chip.field != "real" or chip.layout == "butterfly":
                rest = ",".join(stage for stage in self.stages if stage not in ("calibrate", "map"))
                raise ValueError(
                    f"calibration identifies real meshes of a universal layout, not a {chip.field} {chip.layout}; "
                    f"leave it out with `stages=[{rest}]`"
                )
        return self


def _place(given: Any) -> Any:
    """A preset's name stands for the preset."""
    if not isinstance(given, str):
        return given
    return None if given == ELECTRONICS else preset(given)
