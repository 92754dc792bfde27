"""Which layer goes where: rules by name, type or predicate, and the first that matches wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from torch import nn

from lightloom.chips import Chip
from lightloom.chips.arguments import core_chip
from lightloom.common.checks import shown
from lightloom.common.errors import RequestError, nearest

Rule = str | type[nn.Module] | Callable[[str, nn.Module], bool]
"""Chooses layers: a name or glob ("features.*"), a type, or a predicate of name and module.

A name and a type stand for what is inside them too; a predicate is asked about each layer with weights alone.
"""
Rules = Rule | Iterable[Rule] | None
"""One rule, several of which any may match, or none."""
Placement = Mapping[Rule, Chip | str | None] | Sequence[tuple[Rule, Chip | str | None]]
"""Rules and where the layers go that match: a chip, the name of a preset, or None or "electronics" for none. The first
rule that matches wins."""

ELECTRONICS = "electronics"
"""Name by which `Placement` keeps a layer off every chip."""


class LayerSite(NamedTuple):
    """A layer, and all that rules know of it."""

    module: nn.Module
    names: tuple[str, ...]
    """Every name that it has, since a shared module has several; reports use the first."""
    around: tuple[nn.Module, ...]
    """The modules that it is in."""

    @property
    def name(self) -> str:
        """The first of its names; empty for the root."""
        return self.names[0]


def matches(rule: Rule, site: LayerSite) -> bool:
    """Whether the rule stands for this layer or, by name or type, for something around it.

    Args:
        rule: A name or glob, a type, or a predicate.
        site: The layer, its names and what it is in.
    """
    if isinstance(rule, str):
        return any(fnmatchcase(outer, rule) for name in site.names for outer in _outwards(name))
    if isinstance(rule, type):
        return any(isinstance(module, rule) for module in (site.module, *site.around))
    return bool(rule(site.name, site.module))


class PlacementPolicy:
    """Where each layer is asked to go.

    Args:
        chip: For layers that no rule of `places` matches; None leaves them electronic.
        only: Layers to convert; None is all.
        skip: Layers to keep electronic; they win over everything else.
        places: See `Placement`.
        names: Every name in the model, to refuse rules that match none.

    Raises:
        RequestError: A rule given by name matches nothing, and the nearest name is given; or a chip is none.
    """

    def __init__(
        self, chip: Chip | str | None, only: Rules, skip: Rules, places: Placement, names: Iterable[str]
    ) -> None:
        self.chip = None if chip is None else core_chip(chip)
        self.only = None if only is None else _listed(only, "only")
        self.skip = _listed(skip, "skip")
        self.places = _placed(places)
        _check_names((*(self.only or ()), *self.skip, *(rule for rule, _ in self.places)), [n for n in names if n])

    def of(self, site: LayerSite) -> tuple[Chip | None, str]:
        """The chip for a layer, or None and the reason."""
        if any(matches(rule, site) for rule in self.skip):
            return None, "skipped by request"
        if self.only is not None and not any(matches(rule, site) for rule in self.only):
            return None, "not among the layers asked for"
        for rule, chip in self.places:
            if matches(rule, site):
                return chip, "" if chip is not None else "placed in electronics by request"
        return self.chip, "" if self.chip is not None else "no place is given for it"


def _placed(places: Placement) -> tuple[tuple[Rule, Chip | None], ...]:
    pairs = places.items() if isinstance(places, Mapping) else places
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise RequestError(f"`places` is {shown(places)}; give it as `{{'features.*': chip, 'head': None}}`.")
    rules = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise RequestError(f"`places` holds {shown(pair)}; give pairs of a rule and a chip, or a mapping.")
        rule, place = pair
        _check_rule(rule, "places")
        here = f"places[{rule!r}]"
        rules.append((rule, None if place is None or place == ELECTRONICS else core_chip(place, here)))
    return tuple(rules)


def _listed(selection: Rules, argument: str) -> tuple[Rule, ...]:
    if selection is None:
        return ()
    if isinstance(selection, str | type) or callable(selection) or not isinstance(selection, Iterable):
        _check_rule(selection, argument)
        return (selection,)
    rules = tuple(selection)
    for rule in rules:
        _check_rule(rule, argument)
    return rules


def _check_rule(rule: object, argument: str) -> None:
    if isinstance(rule, nn.Module) or not (isinstance(rule, str | type) or callable(rule)):
        raise RequestError(
            f"`{argument}` holds {shown(rule)}; a rule is a name or glob such as `features.*`, a type of layer, or a "
            "function of name and module."
        )


def _outwards(name: str) -> Iterator[str]:
    """A name, and the names of all around it."""
    while True:
        yield name
        name, dot, _ = name.rpartition(".")
        if not dot:
            return


def _check_names(rules: Iterable[Rule], names: list[str]) -> None:
    for rule in rules:
        if isinstance(rule, str) and not any(fnmatchcase(name, rule) for name in names):
            raise RequestError(f"No layer is called `{rule}`. {nearest(rule, names)}")
