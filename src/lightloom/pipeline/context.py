"""What each stage of a run does, from files to files."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from lightloom import cost as costs
from lightloom import learn as learning
from lightloom.common.errors import RequestError
from lightloom.common.files import write_bytes, write_json
from lightloom.common.processes import is_main
from lightloom.common.records import read_record
from lightloom.common.seeds import named_seed
from lightloom.config.sizes import check_sizes
from lightloom.data import Batch, Splits, crop_and_flip, on_images
from lightloom.nn import MeshCore, PCMCore, calibrate_ranges, cores, install, optical_layers, static_converters
from lightloom.nn.matrix_form import matrix_of
from lightloom.pipeline.comparison import summarise
from lightloom.pipeline.networks import build_network, convert_as, lit, read_images
from lightloom.pipeline.run_folder import RunFolder
from lightloom.report import write_report
from lightloom.stage_records import BenchState, Evaluation, Priced, SweepRow
from lightloom.tasks.classification import Classify, replace_head

STATES = {
    "electronic": "train",
    "programmed": "program",
    "calibrated": "calibrate",
    "mapped": "map",
    "learned": "learn",
    "reordered": "reorder",
}
"""States of the network that a run can hold, and the stage that leaves each behind."""

RANGED = 512
"""Training images that static ranges of converters are measured on, when the network is programmed."""


class Work:
    """What the stages of one run share: its folder, config, data and networks.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.config = folder.config
        self.task = Classify(criterion=self.config.criterion)

    @cached_property
    def splits(self) -> Splits:
        """The images of the electronic training, read once."""
        check_sizes(self.config)
        return read_images(self.config.data, self.config.seed)

    @cached_property
    def chip_splits(self) -> Splits:
        """The images that the chip learns and is measured on, read once."""
        transfer = self.config.transfer
        if transfer is None:
            return self.splits
        data = transfer if transfer.root else transfer.replace(root=self.config.data.root)
        splits = read_images(data, self.config.seed)
        if splits.shape != self.splits.shape:
            raise RequestError(
                f"The images of `{splits.name}` have the shape {splits.shape}, those of `{self.splits.name}` have "
                f"{self.splits.shape}; make them one by `transfer.size=N` or `data.size=N`."
            )
        return splits

    def new_network(self) -> nn.Module:
        """The electronic network with first weights drawn from the run's seed."""
        return build_network(self.config, self.splits)

    def give_new_head(self, model: nn.Module) -> None:
        """Where the chip learns other images than the electronic network, draw a last layer for their classes."""
        if self.config.transfer is not None:
            torch.manual_seed(named_seed(self.config.seed, "head"))
            replace_head(model, len(self.chip_splits.classes))

    def network(self, state: str) -> nn.Module:
        """The network as a stage left it, one of `STATES`."""
        model = self.new_network()
        if state != "electronic":
            self.give_new_head(model)
            model = convert_as(model, self.config).model
            install(model, self.config.specimen)
        learning.load_weights(model, self.file(state))
        if self.orders(state).exists():
            learning.load_orders(model, self.orders(state))
        return model

    def trained(self) -> nn.Module:
        """The electronic network as it goes on the chip, with a new head where that learns other images."""
        model = self.network("electronic")
        self.give_new_head(model)
        return model

    def leave(self, model: nn.Module, state: str) -> None:
        """Write the network as a stage leaves it."""
        learning.save_weights(model, self.file(state))
        learning.save_orders(model, self.orders(state))

    def latest(self, last: str = "reordered") -> str:
        """The furthest state that the run holds, up to `last`."""
        states = list(STATES)
        held = [state for state in states[: states.index(last) + 1] if STATES[state] in self.folder.done]
        if not held:
            raise RequestError(
                f"The run in `{self.folder.path}` holds no network yet: `stages.json` names no stage that leaves one. "
                f"Begin with `lightloom train {self.folder.path}`."
            )
        return held[-1]

    def file(self, state: str) -> Path:
        """Weights of a state of the network."""
        return self.folder.file(f"{state}.safetensors")

    def orders(self, state: str) -> Path:
        """Which column sits where, turn by turn, in the PCM arrays of a state of the network."""
        return self.folder.file(f"{state}-orders.safetensors")

    def fit(
        self,
        model: nn.Module,
        config: learning.TrainConfig,
        stage: str,
        *,
        objective: learning.Objective | None = None,
        sampler: learning.BatchSampler | None = None,
        prepare: learning.Prepare | None = None,
    ) -> None:
        """Train a model on the images of this run that belong to the stage.

        Args:
            model: As `learn.fit` takes it.
            config: Optimiser, schedule, precision.
            stage: Name of the stage; `train` is electronic, any other on the chip.
            objective: What it is trained for; None is that of the run.
            sampler: Leaves out some of the batches of an epoch.
            prepare: Called before every epoch, as `learn.fit` does.
        """
        on_chip = stage != "train"
        splits = self.chip_splits if on_chip else self.splits
        images = (self.config.transfer if on_chip else None) or self.config.data
        augment = on_images(crop_and_flip) if images.augment else None
        data = learning.TrainingData(splits.train, splits.validation, augment, sampler)
        session = learning.Session(self.folder.path, stage, self.config.seed, self.config.device)
        learning.fit(model, data, objective or self.task, config, session, prepare=prepare)


def train(work: Work) -> None:
    """Train the network electronically."""
    model = work.new_network()
    work.fit(lit(model, work.config), work.config.train, "train")
    if is_main():
        learning.save_weights(model, work.file("electronic"))


def program(work: Work) -> None:
    """Convert the trained network and program it onto a manufactured chip, whose errors nobody knows."""
    config = work.config
    conversion = convert_as(work.trained(), config)
    if not optical_layers(conversion.model):
        reasons = "; ".join(sorted({layer.reason for layer in conversion.layers}))
        raise RequestError(
            f"No layer of the network goes on a chip ({reasons}). Name fewer in `electronic`, or give `places` a chip."
        )
    if static_converters(conversion.model):  # of signals as they are to be, which a chip that is not calibrated spoils
        images = work.chip_splits.train.images[:RANGED].to(next(conversion.model.parameters()).device)
        calibrate_ranges(conversion.model, [images])
    install(conversion.model, config.specimen)
    rows = [layer.as_dict() for layer in conversion.layers]
    note_errors(rows, conversion.model, work.trained(), "programmed")
    write_json(work.folder.file("layers.json"), rows)
    if cores(conversion.model, MeshCore):
        write_bytes(work.folder.file("phases.safetensors"), _phase_maps(conversion.model))
    work.leave(conversion.model, "programmed")


def note_errors(rows: list[dict[str, Any]], model: nn.Module, trained: nn.Module, state: str) -> None:
    """Add to the report of each layer how far it is, on the real devices, from the weight that was trained."""
    by_name = {row["name"]: row for row in rows}
    for name, layer in optical_layers(model).items():
        if name not in by_name:
            raise RequestError(f"`layers.json` has no layer `{name}`, which is on the chip; do `program` again.")
        by_name[name]["errors"][state] = layer.core.error(matrix_of(trained.get_submodule(name)).detach())


def learn(work: Work) -> None:
    """Learn on the chip, as its technologies can.

    On meshes singular values train, the meshes stay what the specimen makes them. On crossbars everything trains,
    through the levels of the cells, and pays for what is written. Where both are, so does everything but the meshes;
    on meshes alone, nothing but singular values and norms.
    """
    model, config = work.network(work.latest("mapped")), work.config
    options: dict[str, Any] = {}
    if cores(model, PCMCore):
        objective = learning.WriteAwareObjective(work.task, model, config.writes)
        options |= {"objective": objective, "prepare": objective.prepare}
    else:
        learning.train_only_subspace(model)
    if cores(model, MeshCore):
        learning.attach(model, config.sampling)
        options["sampler"] = _sampler(work)
    work.fit(lit(model, config), config.learn, "learn", **options)
    if is_main():
        work.leave(model, "learned")


def _sampler(work: Work) -> learning.BatchSampler:
    """Leave out the batches that the sampling of gradients leaves out."""
    sampling = work.config.sampling
    teacher = work.network("electronic") if sampling.information else None

    def sample(batches: Iterable[tuple[int, Batch]], epoch: int) -> Iterable[tuple[int, Batch]]:
        seed = named_seed(work.config.seed, "learn", "thin", epoch)
        return learning.sample_batches(batches, sampling, seed, teacher)

    return sample


def evaluate(work: Work) -> None:
    """Measure every state of the network on the test images of what it was trained for, and with the same light."""
    figures = {}
    for state, stage in STATES.items():
        if stage in work.folder.done:
            splits = work.splits if state == "electronic" else work.chip_splits
            torch.manual_seed(named_seed(work.config.seed, "evaluate", state))  # what is read may be noisy
            figures[state] = work.task.evaluate(lit(work.network(state), work.config), splits.test)
    write_json(work.folder.file("evaluation.json"), {"chance": 1 / len(work.chip_splits.classes), "states": figures})


def cost(work: Work) -> None:
    """Count what one inference takes on the chip, and what the learning took."""
    model, splits = work.network(work.latest()), work.chip_splits
    sample = splits.test.images[:1]
    bill = costs.account(model, sample, system=work.config.system).as_dict()
    if work.latest("learned") == "learned" and not cores(model, PCMCore):  # what crossbars learn is no subspace
        config = work.config
        images = len(splits.train) * config.learn.epochs
        taken = costs.learning_cost(costs.trace(model, sample), images, config.sampling, config.learn.batch_size)
        bill["learning"] = {
            **taken.calls,
            "steps": int(taken.totals["all"]["steps"]),
            "energy_j": taken.energy_j,
            "time_s": taken.time_s,
        }
        bill["learning_detail"] = taken.as_dict()
    write_json(work.folder.file("cost.json"), bill)


def report(work: Work) -> None:
    """Tell the story of the run in one page."""
    write_summary(work.folder)
    write_report(work.folder.path)


def write_summary(folder: RunFolder) -> dict[str, Any]:
    """Write `summary.json` from what the stages have left, and return it."""
    config = folder.config
    changes = [change for change in config.changes if not change.startswith("seed=")]
    summary: dict[str, Any] = {"recipe": config.recipe, "seed": config.seed, "overrides": changes}
    evaluation, bill, bench = (folder.file(name) for name in ("evaluation.json", "cost.json", "bench.json"))
    compared = folder.file("sweep.json")
    if compared.exists():
        summary["sweep"] = summarise(read_record(compared, list[SweepRow]), config.sweep)
        summary["accuracy"] = {case["case"]: case["accuracy"] for case in summary["sweep"]["cases"]}
    if bench.exists():
        taken = read_record(bench, dict[str, BenchState])
        summary["bench_calls"] = {state: figures["calls"] for state, figures in taken.items()}
    if evaluation.exists() and "evaluate" in folder.done:  # else it is of what was there before
        measured = read_record(evaluation, Evaluation)
        summary["accuracy"] = {state: figures["accuracy"] for state, figures in measured["states"].items()}
        summary["chance"] = measured["chance"]
    if bill.exists() and "cost" in folder.done:
        priced = read_record(bill, Priced)
        widest = priced["boundaries"][-1]
        summary |= {
            "chip_calls": priced["counts"]["calls"],
            "energy_j": widest["energy_j"],
            "latency_s": widest["latency_s"],
            "boundary": widest["name"],
        }
        if "learning" in priced:
            summary["learning"] = priced["learning"]
    summary |= {"seconds": folder.done, "run": str(folder.path)}
    write_json(folder.file("summary.json"), summary)
    return summary


def _phase_maps(model: nn.Module) -> bytes:
    """What the first block of each layer on meshes is told and makes of it, for the report; of one kind of mesh."""
    meshes = cores(model, MeshCore)
    drawn = next(iter(meshes.values())).chip
    maps: dict[str, Tensor] = {}
    for name, core in meshes.items():
        if (core.chip.block_size, core.chip.layout, core.chip.field) != (drawn.block_size, drawn.layout, drawn.field):
            continue
        state = core.state()
        for side in ("u", "v"):
            with torch.no_grad():
                realised = core.realised_phases(side)[0, 0, 0]
            maps[f"{name}/{side}/commanded"] = state[f"{side}_phases"][0, 0, 0].contiguous()
            maps[f"{name}/{side}/realised"] = realised.contiguous()
        maps[f"{name}/sigma"] = state["sigma"][0, 0, 0].contiguous()
        maps[f"{name}/gain"] = state["gain"][0, 0, :1].contiguous()
    notes = {"size": str(drawn.block_size), "layout": drawn.layout, "field": drawn.field}
    return save(dict(sorted(maps.items())), metadata=notes)
