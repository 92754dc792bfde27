"""Runnable experiments: one function each, returning one config. Its arguments are the recipe's own switches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError

from lightloom.common.arguments import alternatives, expected, fits
from lightloom.common.checks import shown
from lightloom.common.config import explain
from lightloom.common.errors import RequestError, nearest
from lightloom.config import RunConfig, override, read_value
from lightloom.recipes import bev, hybrid, language, onchip, optical, optical_sweeps, pcm
from lightloom.tasks import TASKS, task_of

RECIPES: dict[str, Callable[..., RunConfig]] = {
    "onchip/digits": onchip.digits,
    "onchip/mnist-cnn": onchip.mnist_cnn,
    "onchip/fmnist-cnn": onchip.fmnist_cnn,
    "onchip/cifar10-vgg8": onchip.cifar10_vgg8,
    "onchip/cifar10-resnet18": onchip.cifar10_resnet18,
    "onchip/transfer": onchip.transfer,
    "pcm/digits": pcm.digits,
    "pcm/mnist": pcm.mnist,
    "pcm/cifar10-vgg8": pcm.cifar10_vgg8,
    "pcm/cifar10-resnet18": pcm.cifar10_resnet18,
    "pcm/cifar100-vgg13": pcm.cifar100_vgg13,
    "optical/digits": optical.digits,
    "optical/mnist-mlp": optical.mnist_mlp,
    "optical/mnist-cnn": optical.mnist_cnn,
    "optical/fmnist-cnn": optical.fmnist_cnn,
    "optical/kmnist-cnn": optical.kmnist_cnn,
    "optical/emnist-cnn": optical.emnist_cnn,
    "optical/od-sweep": optical_sweeps.od_sweep,
    "optical/noise-sweep": optical_sweeps.noise_sweep,
    "optical/deep": optical_sweeps.deep,
    "optical/on-chip": optical.on_chip,
    "hybrid/shapes": hybrid.shapes,
    "hybrid/bccd": hybrid.bccd,
    "hybrid/coco": hybrid.coco,
    "hybrid/nuscenes2d": hybrid.nuscenes2d,
    "hybrid/d2nn-mnist": hybrid.d2nn_mnist,
    "bev/toytown": bev.toytown,
    "bev/nuscenes-tiny": bev.nuscenes_tiny,
    "bev/nuscenes-small": bev.nuscenes_small,
    "bev/nuscenes-base": bev.nuscenes_base,
    "lm/chars": language.chars,
}


def known() -> dict[str, Callable[..., RunConfig]]:
    """Recipes by name: the built-in ones, and those that tasks of other packages bring."""
    task_recipes = {name: recipe for task in TASKS.values() for name, recipe in task.recipes().items()}
    return {**task_recipes, **RECIPES}


def resolve(name: str, changes: Sequence[str] = ()) -> RunConfig:
    """The config of a recipe with `key=value` changes.

    A key that is an argument of the recipe goes to the recipe, which chooses what follows from it (`data=mnist`
    takes fewer epochs than `data=digits`); any other is a path of fields of the config.

    Args:
        name: Name of the recipe.
        changes: Changes as `key=value`.

    Raises:
        RequestError: The recipe or a key is unknown, or a value does not fit.
    """
    recipes = known()
    if name not in recipes:
        raise RequestError(f"There is no recipe `{name}`. {nearest(name, recipes)}")
    recipe = recipes[name]
    switches = inspect.signature(recipe).parameters
    own = {c.partition("=")[0]: c.partition("=")[2] for c in changes if "=" in c and c.partition("=")[0] in switches}
    values = {key: read_value(key, text) for key, text in own.items()}
    _check_switches(name, recipe, values)
    try:
        config = recipe(**values)
    except ValidationError as error:
        raise RequestError(explain(error, name)) from None
    config = override(config, [change for change in changes if change.partition("=")[0] not in own])
    task_of(config).check(config)
    return config.replace(changes=tuple(changes))


def _check_switches(name: str, recipe: Callable[..., RunConfig], values: Mapping[str, Any]) -> None:
    """Refuse a value of another type, or another word, than an argument of the recipe takes."""
    hints = get_type_hints(recipe)
    for key, value in values.items():
        words = [str(word) for part in alternatives(hints[key]) for word in get_args(part)]
        if not fits(value, hints[key]):
            hint = f" {nearest(value, words)}" if isinstance(value, str) and words else ""
            raise RequestError(f"`{key}` is {shown(value)}; `{name}` takes {expected(hints[key])} there.{hint}")
        if words and isinstance(value, str) and value not in words:
            raise RequestError(f"`{name}` has no `{key}={value}`. {nearest(value, words)}")


def describe() -> list[dict[str, str]]:
    """Name, first line of the description and switches of every recipe."""
    return [
        {
            "name": name,
            "what": (inspect.getdoc(recipe) or "").partition("\n")[0],
            "switches": ", ".join(f"{p.name}={p.default}" for p in inspect.signature(recipe).parameters.values()),
        }
        for name, recipe in known().items()
    ]
