"""What every run is described by, whatever its task: a task adds fields of its own in a subclass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from lightloom.chips import AnyChip, Chip, preset
from lightloom.common.config import Section, at_least, at_most
from lightloom.config.parts import CalibrationConfig, SweepConfig, WearConfig
from lightloom.cost import System
from lightloom.learn import Sampling, TrainConfig, WriteAware, sampling_preset

ELECTRONICS = "electronics"
"""Word with which `places` keeps a layer off every chip."""
StageName = Literal["train", "program", "calibrate", "map", "learn", "reorder", "sweep", "evaluate", "cost", "report"]
_BEFORE: dict[str, str] = {
    "program": "train",
    "calibrate": "program",
    "map": "calibrate",
    "learn": "program",
    "reorder": "program",
}
"""The stage whose network each stage goes on with."""
_ON_EVERY_CHIP = ("calibrate", "map")
"""Stages that no chip of a run may be unfit for; of the others one chip is enough."""
_CHECKED_SECTIONS = {
    "sampling": "thins gradients that a chip measures one by one",
    "writes": "pays for cells that are written",
}
"""Sections of technologies that are refused where no chip reads them, and what they are for."""
_TECHNOLOGY_SECTIONS = frozenset({*_CHECKED_SECTIONS, "wear"})
"""Sections that chips of some technologies read."""


class RunConfig(Section):
    """Everything that decides the outcome of a run, but for what its task adds.

    A task has a subclass, which names it in the field `task` and adds sections for its data and its model.
    """

    possible: ClassVar[tuple[StageName, ...]] = get_args(StageName)
    """Stages that runs of the task can have."""

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
    """Memory that data and network may take, in 10^9 bytes; None is that of the machine. What is
    estimated to need more is refused before anything is made."""
    task: str = ""
    """What the network is for: the name of a task."""
    stages: tuple[StageName, ...] = ("train", "program", "calibrate", "map", "learn", "evaluate", "cost", "report")
    """What is done, in order."""
    train: TrainConfig = TrainConfig()
    """Electronic training, and that of each case of a comparison."""
    chip: AnyChip = preset("l2ight")
    """Hardware; a preset's name stands for the preset."""
    specimen: int = Field(0, ge=0)
    """Number of the manufactured chip."""
    electronic: tuple[str, ...] = ()
    """Layers to keep off the chip, by name or glob."""
    places: dict[str, AnyChip | None] = Field(default_factory=dict)
    """Layers that go elsewhere than on `chip`, by name or glob, such as `{"features.*": elight, head: electronics}`;
    the first that fits counts. Each is a chip, or None for electronics."""
    bench: CalibrationConfig = CalibrationConfig()
    """Calibration and mapping."""
    learn: TrainConfig = TrainConfig()
    """Learning on the chip."""
    sampling: Sampling = Sampling()
    """Part of the learning that is measured; a preset's name stands for the preset."""
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
    def _preset(cls, value: Any) -> Any:
        return preset(value) if isinstance(value, str) else value

    @field_validator("places", mode="before")
    @classmethod
    def _preset_places(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {name: _place(place) for name, place in value.items()}

    @field_validator("sampling", mode="before")
    @classmethod
    def _sampling_preset(cls, value: Any) -> Any:
        return sampling_preset(value) if isinstance(value, str) else value

    @classmethod
    def presets(cls) -> dict[str, Callable[[str], Section]]:
        """What looks up each group of fields that a preset's name may stand for, by the name of the group."""
        return {"chip": preset, "sampling": sampling_preset}

    @property
    def chips(self) -> tuple[Chip, ...]:
        """All hardware that layers may go on."""
        return (self.chip, *(place for place in self.places.values() if place is not None))

    @property
    def unused(self) -> frozenset[str]:
        """Names of the sections that decide nothing in this run, so that its description may leave them out."""
        sections = set().union(*(chip.run_sections for chip in self.chips))
        names = set(_CHECKED_SECTIONS) | (_TECHNOLOGY_SECTIONS - sections)
        names |= set() if "sweep" in self.stages else {"sweep"}
        return frozenset(name for name in names if self._is_default(name))

    def _is_default(self, name: str) -> bool:
        """Whether a section says what it says where it is absent."""
        default: object = type(self).model_fields[name].get_default(call_default_factory=True)
        return bool(getattr(self, name) == default)

    @model_validator(mode="after")
    def _stages_are_possible(self) -> Self:
        can = ", ".join(f"`{stage}`" for stage in self.possible)
        for stage in self.stages:
            if stage not in self.possible:
                raise ValueError(f"`{stage}` is no stage of the task `{self.task}`, which can do {can}")
            before = _BEFORE.get(stage)
            if before is not None and before not in self.stages:
                raise ValueError(
                    f"`{stage}` goes on with what `{before}` leaves; add it to `stages`: {can} can be done"
                )
        return self

    @model_validator(mode="after")
    def _chips_can_do_the_stages(self) -> Self:
        for stage in self.stages:
            obstacles = [text for chip in self.chips if (text := chip.obstacle(stage)) is not None]
            if obstacles and (stage in _ON_EVERY_CHIP or len(obstacles) == len(self.chips)):
                rest = ",".join(other for other in self.stages if other not in _together(stage))
                raise ValueError(f"{obstacles[0]}; leave it out with `stages=[{rest}]`")
        return self

    @model_validator(mode="after")
    def _sections_have_a_chip(self) -> Self:
        for name, purpose in _CHECKED_SECTIONS.items():
            has_reader = any(name in chip.run_sections for chip in self.chips)
            if not has_reader and not self._is_default(name):
                raise ValueError(f"`{name}` {purpose}, and `{self.chip.name}` has none; leave it out")
        return self


def _together(stage: str) -> tuple[str, ...]:
    """The stages that are left out with one."""
    return _ON_EVERY_CHIP if stage in _ON_EVERY_CHIP else (stage,)


def _place(value: Any) -> Any:
    """A preset's name stands for the preset."""
    if not isinstance(value, str):
        return value
    return None if value == ELECTRONICS else preset(value)
