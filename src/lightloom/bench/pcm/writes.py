"""Claim: training, ordering and both together spare writes, whatever the hardware shares; measured against neither."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightloom.chips import PCMChip
from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.cost import ModelWrites, count_writes, index_bits, weight_bits
from lightloom.learn import Session, TrainingData, WriteAware, WriteAwareObjective, fit, for_sharing
from lightloom.nn import PCMCore, convert, cores, reorder
from lightloom.physics.pcm.order import Sharing
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run_folder import RunFolder
from lightloom.pipeline.stages import train
from lightloom.recipes import resolve

SHARINGS: tuple[Sharing, ...] = ("row_private", "column_shared", "block_shared")
STARTS = ("erased", "repeat", "alternate")


def writes(
    *, seed: int = 0, run: Path | None = None, sharing: Sharing | None = None, epochs: int | None = None
) -> dict[str, Any]:
    """Writes, energy, worst cell and accuracy of {plain, write_aware, reordered, both} for every way of sharing inputs.

    From one electronic network, levels are trained without a penalty ("plain") and, for each way of sharing, with the
    one made for it; all for as many epochs. Reductions are against "plain" with its turns as they come, from the same
    start state. `row_private`, `column_shared` and `block_shared` are from erased arrays, and every input keeps its
    slot, as published; under `starts` are the same for cycles, under `any_slot` for inputs that may change their slot.
    Of a run, trainings are kept in its folder under `bench-writes` and go on after a stop.

    Args:
        seed: Of the small network that is trained where there is no run.
        run: Folder of a run on a PCM chip whose electronic network is trained; its `learn` is the schedule.
        sharing: One way of sharing alone.
        epochs: Of each training on the chip; None is the run's.

    Raises:
        RequestError: There is no such run, its chip has no cells, or there is no such sharing.
    """
    if sharing is not None and sharing not in SHARINGS:
        raise RequestError(f"There is no sharing `{sharing}`; known: {', '.join(SHARINGS)}.")
    with _electronic(run, seed) as context:
        chip = context.config.chip
        if not isinstance(chip, PCMChip):
            raise RequestError(f"`{run}` is a run on `{chip.name}`, which has no cells to write.")
        sharings = SHARINGS if sharing is None else (sharing,)
        result: dict[str, Any] = {
            "network": context.config.model.name,
            "data": context.config.data.name,
            "chip": chip.name,
            "levels": chip.levels,
            "block_size": chip.block_size,
            "epochs": epochs or context.config.learn.epochs,
        }
        plain = _Trained(context, "plain", chip, WriteAware(), epochs)
        result["accuracy"] = plain.accuracy
        starts: dict[str, dict[str, Any]] = {start: {} for start in STARTS}
        moved: dict[str, Any] = {}
        for name in sharings:
            shared = _perfect(chip, name)
            aware = _Trained(
                context, name, shared, for_sharing(name, context.config.writes.strength, chip.start), epochs
            )
            for start in STARTS:
                starts[start][name] = _cases(plain, aware, shared.replace(start=start))
            if name != "block_shared":
                moved[name] = _cases(plain, aware, shared.replace(scope="any"))
        result |= starts.pop("erased")
        result["any_slot"] = moved
        result["starts"] = starts
        for kind in ("gaussian", "laplace"):
            result[kind] = {name: _random(context, _perfect(chip, name), kind) for name in sharings}
    return result


class _Trained:
    """The network after one training on the chip."""

    def __init__(self, context: RunContext, name: str, chip: PCMChip, writes: WriteAware, epochs: int | None) -> None:
        config = context.config
        self.model = convert(context.network("electronic"), chip, skip=config.electronic).model
        measured = context.task.objective(self.model, config)
        objective = WriteAwareObjective(measured, self.model, writes)
        schedule = config.learn if epochs is None else config.learn.replace(epochs=epochs)
        fit(
            self.model,
            TrainingData(context.data.train, context.data.validation, context.task.augment(config, True)),
            objective,
            schedule.replace(keep="last"),
            Session(context.folder.path / "bench-writes", name, config.seed, config.device),
            prepare=objective.prepare,
        )
        self.accuracy = measured.evaluate(self.model, context.data.test)["accuracy"]


def _perfect(chip: PCMChip, sharing: Sharing) -> PCMChip:
    return chip.replace(sharing=sharing, stuck_fraction=0.0, absorption_std=0.0)


@contextmanager
def _electronic(run: Path | None, seed: int) -> Iterator[RunContext]:
    """The run with an electronic network; a small one on the embedded digits where none is given."""
    if run is not None:
        context = RunContext(RunFolder.open(run))
        if "train" not in context.folder.done:
            raise RequestError(f"The run in `{run}` has no trained network yet; go on with it by `--resume` first.")
        yield context
        return
    with tempfile.TemporaryDirectory() as folder:
        context = RunContext(RunFolder.create(resolve("pcm/digits", [f"seed={seed}"]), Path(folder) / "run"))
        train(context)
        yield context


def _cases(plain: _Trained, aware: _Trained, chip: PCMChip) -> dict[str, dict[str, Any]]:
    """The four cases on one chip, and what the orders take to store."""
    tallies: dict[str, tuple[ModelWrites, _Trained]] = {}
    for trained, as_it_comes, ordered in ((plain, "plain", "reordered"), (aware, "write_aware", "both")):
        _put(trained.model, chip)
        tallies[as_it_comes] = count_writes(trained.model), trained
        _order(trained.model)
        tallies[ordered] = count_writes(trained.model), trained
    base = tallies["plain"][0]
    storage = {"index_bits": index_bits(aware.model), "weight_bits": weight_bits(aware.model)}
    return {
        name: {**_against(case, base), "accuracy_drop": round(plain.accuracy - trained.accuracy, 5)}
        for name, (case, trained) in tallies.items()
    } | {"storage": storage}


def _random(context: RunContext, chip: PCMChip, kind: str) -> dict[str, dict[str, Any]]:
    """Reordering alone, of matrices of the same shapes with independent random weights."""
    model = convert(context.network("electronic"), chip, skip=context.config.electronic).model
    generator = torch.Generator().manual_seed(named_seed(context.config.seed, "bench writes", kind))
    for core in cores(model, PCMCore).values():
        weights = torch.randn(core.matrix.shape, generator=generator)
        if kind == "laplace":
            # the difference of two exponential variables
            one, other = (torch.rand(core.matrix.shape, generator=generator).clamp_min(1e-12).log() for _ in range(2))
            weights = (one - other) / 2**0.5
        core.program(weights * (2 / core.columns) ** 0.5)
    base = count_writes(model)
    _order(model)
    return {"reordered": _against(count_writes(model), base)}


def _put(model: nn.Module, chip: PCMChip) -> None:
    """The same levels on another chip, their turns as they come."""
    for core in cores(model, PCMCore).values():
        core.chip = chip
        core.place(core.natural)


def _order(model: nn.Module) -> None:
    for core in cores(model, PCMCore).values():
        core.place(reorder(core))


def _against(case: ModelWrites, base: ModelWrites) -> dict[str, Any]:
    life = case.lifetime()
    return {
        "writes": case.levels,
        "energy_j": case.energy_j,
        "write_reduction": _ratio(base.levels, case.levels),
        "energy_reduction": _ratio(base.energy_j, case.energy_j),
        "worst_cell": case.worst_cell,
        "worst_pair": max(layer.worst_pair for layer in case.layers),
        "inferences_to_first_failure": None if life == float("inf") else life,
    }


def _ratio(before: float, after: float) -> float | None:
    """None where nothing is written any more."""
    return round(before / after, 3) if after else None
