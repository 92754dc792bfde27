"""Claim: many specimens are simulated together faster than one by one, with the same accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightloom.bench.kernels import ask_for_kernels
from lightloom.bench.measure import medians
from lightloom.common.errors import LightloomError
from lightloom.data import ImageSet, load
from lightloom.explore.yields import accuracies, sequential
from lightloom.nn import convert, optical_layers
from lightloom.physics import compiled
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run_folder import RunFolder
from lightloom.recipes import resolve
from lightloom.tasks import task_of

RECIPES = ("onchip/digits", "onchip/mnist-cnn")
_MNIST = 10_000  # test images
_NORMS = 512  # images from which the norms take their statistics


def yield_(
    seed: int = 0, run: Path | None = None, *, specimens: int = 64, rounds: int = 3, images: int | None = None
) -> dict[str, Any]:
    """Time for the accuracies of many specimens on all test images, one by one over together.

    One by one, the model is installed on each specimen and evaluated, in the same batches. Networks are those of the
    recipes `onchip/digits` and `onchip/mnist-cnn` with the weights that training starts from, on their chip. Where the
    images of a recipe are not at hand, as many random ones of the same shape stand in, and `data` says so.

    Args:
        seed: Of the weights, and of the first specimen.
        run: Folder of a run in the place of the recipes: its network as far as it got, its chip and test images.
        specimens: How many.
        rounds: Timings of each kind, taken in turns, of which the median counts.
        images: Evaluate on so many test images at most.

    Returns:
        `speedup`, the smallest of the networks'; per network `speedup`, seconds of both, `images`, the mean and the
        standard deviation of the accuracies, and `difference`, the largest between both ways.

    Raises:
        RequestError: There is no such run.
    """
    note = ask_for_kernels()
    results = {}
    if run is None:
        for recipe in RECIPES:
            config = resolve(recipe, [f"seed={seed}"])
            results[config.recipe.partition("/")[2]] = _recipe(config, specimens, rounds, images)
    else:
        context = RunContext(RunFolder.open(run))
        config = context.config
        model, test = context.network(context.latest_state()), context.chip_data.test
        model = model if optical_layers(model) else context.convert(model).model
        seeds = range(config.specimen, config.specimen + specimens)
        results[config.recipe] = _compare(model, seeds, test, rounds, images) | {"data": config.data.name}
    return {
        "speedup": min(result["speedup"] for result in results.values()),
        **results,
        "specimens": specimens,
        "backend": compiled.backend(),
        "note": note,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _recipe(config: Any, specimens: int, rounds: int, images: int | None) -> dict[str, Any]:
    """The figures of one recipe's network."""
    task: Any = task_of(config)
    try:
        splits, data = task.data(config), config.data.name
    except LightloomError as error:
        splits, data = load("digits", size=config.data.size), f"random images: {str(error).splitlines()[0]}"
    model = task.model(config, task.interface(splits), splits)
    with torch.no_grad():
        model.train()(splits.train.images[:_NORMS])
    model = convert(
        model.eval(), config.chip, skip=config.electronic, places=tuple(config.places.items()), inplace=True
    ).model
    test = splits.test if data == config.data.name else _random(splits.shape, config.seed)
    return _compare(model, range(config.seed, config.seed + specimens), test, rounds, images) | {"data": data}


def _random(shape: Sequence[int], seed: int) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    return ImageSet(torch.randn(_MNIST, *shape, generator=generator), torch.randint(10, (_MNIST,), generator=generator))


def _compare(model: nn.Module, seeds: Sequence[int], test: ImageSet, rounds: int, images: int | None) -> dict[str, Any]:
    test = ImageSet(test.images[:images], test.labels[:images])
    results = {}

    def apart() -> None:
        results["apart"] = sequential(model, seeds, test)

    def together() -> None:
        results["together"] = accuracies(model, seeds, test, progress=False)

    seconds = medians({"one_by_one": apart, "together": together}, rounds)
    return {
        "speedup": round(seconds["one_by_one"] / seconds["together"], 3),
        "one_by_one_s": round(seconds["one_by_one"], 4),
        "together_s": round(seconds["together"], 4),
        "images": len(test),
        "accuracy": round(float(results["together"].mean()), 5),
        "accuracy_std": round(float(results["together"].std()), 5) if len(seeds) > 1 else 0.0,
        "difference": float((results["together"] - results["apart"]).abs().max()),
    }
