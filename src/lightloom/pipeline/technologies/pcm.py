"""The stages of PCM chips: find failed cells, work around them, and write the rest as little as can be."""

from __future__ import annotations

from typing import Any

from torch import nn

from lightloom import cost as costs
from lightloom.common.errors import RequestError
from lightloom.common.files import write_json
from lightloom.common.progress import follow
from lightloom.common.seeds import named_seed
from lightloom.lab.claims import claim
from lightloom.lab.crossbar import InstrumentedCrossbar, Surveyed, instruments_for, survey
from lightloom.learn.checkpoint import write_tensors
from lightloom.nn import PCMCore, cores
from lightloom.nn import reorder as best_order
from lightloom.pipeline.context import Work
from lightloom.pipeline.run_folder import RunFolder

_AS_IT_COMES, _REORDERED = "as it comes", "reordered"


def calibrate(work: Work, model: nn.Module) -> list[dict[str, Any]]:
    """Measure every cell of the specimen: which no longer switch, and how much the others absorb."""
    rows = []
    for bench in _benches(work, model, "calibrate"):
        known = survey(bench.instrument, accuracy=work.config.bench.accuracy)
        known.save(_survey_file(work.folder, bench.layer))
        rows.append(
            {
                "layer": bench.layer,
                "calls": known.calls,
                "arrays": bench.instrument.arrays,
                "levels_written": int(known.writes.sum()),
                "stuck": int((known.stuck >= 0).sum()),
                "readout_noise": known.readout,
                "absorption_std": known.absorption_std,
                "suspects": [suspect._asdict() for suspect in known.suspects],
                **claim(f"Layer `{bench.layer}`", known.misfit, known.caveat),
            }
        )
    return rows


def map_weights(work: Work, model: nn.Module) -> list[dict[str, Any]]:
    """Give every row of the weights an array row whose cells can hold it, and choose the levels that serve there."""
    rows = []
    for bench in _benches(work, model, "map"):
        remapped = bench.remap(Surveyed.load(_survey_file(work.folder, bench.layer)))
        bench.store(remapped)
        rows.append({"layer": bench.layer, "calls": 0, "error_before": remapped.before, "error_after": remapped.after})
    return rows


def reorder(work: Work) -> None:
    """Find the order in which each layer is written least, and count what writing takes with and without it."""
    latest = work.latest("learned")
    states = {state: work.network(state) for state in dict.fromkeys(("programmed", latest))}
    if not cores(states[latest], PCMCore):
        raise RequestError("No layer of this network is on a PCM chip, so there is nothing to reorder.")
    counted: list[costs.ModelWrites] = []
    for state, model in states.items():
        _unordered(model)
        counted.append(costs.count_writes(model, state=state, order=_AS_IT_COMES))
        _follow_best_orders(model, state)
        counted.append(costs.count_writes(model, state=state, order=_REORDERED))
    wear, last = work.config.wear, states[latest]
    tally = {
        "chip": work.config.chip.name,
        "rate_hz": wear.rate,
        "inferences": wear.inferences,
        "cases": [case.as_dict(rate=wear.rate, inferences=wear.inferences) for case in counted],
        "index_bits": costs.index_bits(last),
        "weight_bits": costs.weight_bits(last),
    }
    write_json(work.folder.file("writes.json"), tally)
    write_tensors(work.folder.file("wear.safetensors"), costs.wear_maps(counted))
    work.leave(last, "reordered")


def _benches(work: Work, model: nn.Module, stage: str) -> list[InstrumentedCrossbar]:
    """Each stage reads with noise of its own."""
    if not cores(model, PCMCore):
        return []
    seed = named_seed(work.config.seed, stage)
    return instruments_for(model, InstrumentedCrossbar, readout_std=work.config.bench.readout_std, seed=seed)


def _survey_file(folder: RunFolder, layer: str) -> Any:
    return folder.file(f"survey-{layer}.safetensors")


def _unordered(model: nn.Module) -> None:
    """Take columns as they come, where every cell is like the others; else each weight stays where it was mapped to."""
    for core in cores(model, PCMCore).values():
        if core.alike:
            core.place(core.natural)


def _follow_best_orders(model: nn.Module, state: str) -> None:
    layers = cores(model, PCMCore)
    with follow(f"reorder {state}", len(layers)) as report:
        for number, (name, core) in enumerate(layers.items(), 1):
            core.place(best_order(core))
            report(number, name)
