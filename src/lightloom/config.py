"""The whole of a run in one frozen description, and `key=value` to change any field of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from lightloom.chips import AnyChip, MeshChip, PCMChip, preset
from lightloom.common.config import Section
from lightloom.common.errors import RequestError, nearest
from lightloom.data import describe
from lightloom.learn import Sampling, TrainConfig, WriteAware, sampling_preset
from lightloom.tasks.classify import MODELS

StageName = Literal["train", "program", "calibrate", "map", "learn", "reorder", "evaluate", "cost", "report"]


class DataConfig(Section):
    """Which images."""

    name: str = "digits"
    """Data set."""
    limit: int | None = Field(None, ge=1)
    """Train on at most so many images; None is all."""
    size: int | None = Field(None, ge=1)
    """Resize the images to so many pixels a side; None leaves them."""
    augment: bool = False
    """Crop and mirror the images of a training step at random."""
    root: Path | None = None
    """Folder with the sets' folders; None is `LIGHTLOOM_DATA`, else a checked download."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        describe(name)
        return name


class ModelConfig(Section):
    """Which network."""

    name: str = "cnn"
    """Model."""
    width: int | None = Field(None, ge=1)
    """Channels or units of its first layer, the others in proportion; None is the model's own."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in MODELS:
            raise ValueError(f"there is no model `{name}`. {nearest(name, MODELS)}")
        return name


class BenchConfig(Section):
    """How a chip is measured on the bench."""

    readout_std: float = Field(0.001, ge=0)
    """Noise of each measured value, relative to full scale."""
    accuracy: float = Field(0.005, gt=0)
    """Calibration measures until phases are known to this, in rad."""
    budget: int | None = Field(None, ge=1)
    """Calls that calibration may take; None is 4 per waveguide and another 256."""
    looks: int = Field(1, ge=0)
    """Calls that mapping takes to look at the programmed blocks and correct them."""


class WearConfig(Section):
    """How a PCM chip is used."""

    rate: float = Field(50.0, gt=0)
    """Inferences per second."""
    inferences: float = Field(0.0, ge=0)
    """Inferences that the chip is to serve: the report says what has failed by then."""


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
    threads: int | None = Field(None, ge=1)
    """CPU threads; None leaves torch's choice. More threads add in another order, so last digits differ."""
    stages: tuple[StageName, ...] = ("train", "program", "calibrate", "map", "learn", "evaluate", "cost", "report")
    """What is done, in order."""
    data: DataConfig = DataConfig()
    transfer: DataConfig | None = None
    """Images that the chip learns and is measured on, with a new last layer; None is those of `data`.

    Its `root` is that of `data` where it has none.
    """
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    """Electronic training."""
    chip: AnyChip = preset("l2ight")
    """Hardware; a preset's name stands for the preset."""
    specimen: int = Field(0, ge=0)
    """Which manufactured chip."""
    electronic: tuple[str, ...] = ()
    """Layers to keep off the chip, by name or glob."""
    bench: BenchConfig = BenchConfig()
    """Calibration and mapping."""
    learn: TrainConfig = TrainConfig()
    """Learning on the chip."""
    sampling: Sampling = Sampling()
    """Which part of the learning is measured; a preset's name stands for the preset."""
    writes: WriteAware = WriteAware()
    """What learning on a PCM chip pays for writes."""
    wear: WearConfig = WearConfig()
    """How long the cells of a PCM chip are to last."""

    @field_validator("chip", mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        return preset(given) if isinstance(given, str) else given

    @field_validator("sampling", mode="before")
    @classmethod
    def _sampling_preset(cls, given: Any) -> Any:
        return sampling_preset(given) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _fits_the_technology(self) -> Self:
        chip = self.chip
        if "reorder" in self.stages and not isinstance(chip, PCMChip):
            raise ValueError(f"`reorder` is for PCM chips, and `{chip.name}` is not; leave it out of `stages`")
        if isinstance(chip, MeshChip) and self.writes.strength > 0:
            raise ValueError(
                f"meshes such as `{chip.name}` are not written, so there is nothing to pay for by `writes`"
            )
        if not isinstance(chip, MeshChip):
            if self.sampling != Sampling():
                raise ValueError(f"`sampling` is for gradients measured on meshes, and `{chip.name}` has none")
            return self
        if {"calibrate", "map"} & set(self.stages) and (chip.field != "real" or chip.layout == "butterfly"):
            rest = ",".join(stage for stage in self.stages if stage not in ("calibrate", "map"))
            raise ValueError(
                f"calibration identifies real meshes of a universal layout, not a {chip.field} {chip.layout}; "
                f"leave it out with `stages=[{rest}]`"
            )
        return self


def override(config: RunConfig, changes: Sequence[str]) -> RunConfig:
    """Apply `key=value` changes; a key is a path of fields ("train.lr"), a value is read as YAML.

    Raises:
        RequestError: A change has no `=`, its key is unknown (the nearest is given), or its value does not fit.
    """
    values = config.model_dump()
    for change in changes:
        key, _, text = change.partition("=")
        if "=" not in change:
            raise RequestError(f"`{change}` is not of the form `key=value`.")
        _set(values, key.strip(), read_value(key, text))
    return RunConfig.parse(values, "config")


def read_value(key: str, text: str) -> Any:
    """The value of a `key=value` change, read as YAML. Raises `RequestError` where it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RequestError(f"The value of `{key}` is not YAML: {error}.") from None


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    known = dict(_keys(values))
    if key not in known:
        by_leaf = [path for path in known if path.rsplit(".", 1)[-1] == key]
        hint = f"Did you mean `{by_leaf[0]}`?" if by_leaf else nearest(key, known)
        raise RequestError(f"Unknown key `{key}`. {hint}")
    holder = values
    *parents, leaf = key.split(".")
    for parent in parents:
        holder = holder[parent]
    if isinstance(holder[leaf], dict) and not isinstance(value, dict):
        if leaf not in ("chip", "sampling"):
            fields = ", ".join(f"`{key}.{name}`" for name in holder[leaf])
            raise RequestError(f"`{key}` is a group of fields; give one of them: {fields}.")
        value = (preset if leaf == "chip" else sampling_preset)(str(value)).model_dump()
    holder[leaf] = value


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield f"{prefix}{name}", value
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")


def to_yaml(config: RunConfig) -> str:
    """The resolved config as YAML, in the order of the fields."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def from_yaml(path: Path) -> RunConfig:
    """Read what `to_yaml` wrote.

    Raises:
        RequestError: The file is missing, is not YAML, or holds what a config cannot.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise RequestError(f"`{path}` is missing. Is this a run folder of Lightloom?") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"`{path}` is not YAML: {error}.") from None
    if not isinstance(values, Mapping):
        raise RequestError(f"`{path}` holds no config; expected `key: value` lines.")
    return RunConfig.parse(values, str(path))
