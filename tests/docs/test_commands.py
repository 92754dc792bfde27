"""Every `lightloom` command in the pages would be taken: verbs, options, recipes, chips, benches and keys."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from lightloom.bench import BENCHES
from lightloom.chips import ABSORBERS, DIFFRACTIVE, PRESETS
from lightloom.cli import app
from lightloom.config import override
from lightloom.recipes import RECIPES, resolve

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(lightloom [a-z][^`]*)`")
ROOTS = {"onchip": "onchip/digits", "pcm": "pcm/digits", "optical": "optical/digits"}
ROOTS |= {"hybrid": "hybrid/bccd", "bev": "bev/toytown"}
PLACEHOLDERS = {"RECIPE", "RUN", "NAME", "SCENE", "key=value", "[key=value"}


def commands(text: str) -> list[str]:
    """`lightloom ...` in code blocks, one line each with `\\` joined, and those inside of sentences."""
    found = []
    for language, body in FENCE.findall(text):
        if language in ("", "bash", "sh", "console"):
            for line in body.replace("\\\n", " ").splitlines():
                match = re.match(r"\s*(?:accelerate launch .*-m )?(lightloom [^#]*)", line)
                found += [match[1]] if match else []
    plain = FENCE.sub("", text)
    return [*found, *(re.sub(r"\s+", " ", command) for command in INLINE.findall(plain))]


CASES = sorted({(page, command.strip()) for page in PAGES for command in commands(page.read_text())})
COMMANDS = [pytest.param(command, id=f"{page.stem}: {command[:90]}") for page, command in CASES]
VERBS = vars(typer.main.get_command(app))["commands"]


def parse(command: str) -> tuple[str, list[str]]:
    """The verb and its positional arguments; refuses what the command line itself would refuse. Nothing is run.

    A verb alone, as sentences name it, need not be complete; N and X stand for any number.
    """
    _, verb, *rest = shlex.split(re.sub(r"(?<=[ =])[NX]\b", "1", command.replace("...", "")))
    assert verb in VERBS, f"there is no verb `{verb}`"
    if not rest or rest == ["--help"]:
        return verb, []
    with VERBS[verb].make_context(verb, list(rest)) as context:
        arguments = [p.name for p in VERBS[verb].params if p.param_type_name == "argument"]
        values = [context.params[name] for name in arguments]
    listed = [value if isinstance(value, list | tuple) else [value] for value in values]
    return verb, [str(word) for words in listed for word in words if word is not None]


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 80
    assert len({page for page, _ in CASES}) > 12


@pytest.mark.parametrize("command", COMMANDS)
def test_command_would_be_taken(command: str) -> None:
    verb, given = parse(command)
    given = [word for word in given if word not in PLACEHOLDERS and not word.endswith("]")]
    if not given:
        return
    if verb == "bench":
        assert given[0] in BENCHES
    elif verb in ("chips", "serve"):
        assert given[0] in {**PRESETS, **ABSORBERS, **DIFFRACTIVE}
    elif verb == "run":
        assert given[0] in RECIPES, f"there is no recipe `{given[0]}`"
        resolve(given[0], given[1:])
    else:
        keys_fit(verb, given)


def keys_fit(verb: str, given: list[str]) -> None:
    """Changes of a stage or of `convert` fit the config of the recipe, or of the one that the run's name tells."""
    source, changes = given[0], [word for word in given[1:] if "=" in word]
    if not changes or verb in ("explore", "compare", "export", "sensitivity"):
        return
    if source in RECIPES:
        resolve(source, changes)
        return
    family = next((recipe for name, recipe in ROOTS.items() if name in source), "onchip/digits")
    override(resolve(family), changes)


@pytest.mark.parametrize("wrong", ["lightloom walk", "lightloom run onchip/digits --loud", "lightloom report --out"])
def test_the_check_catches_what_is_wrong(wrong: str) -> None:
    with pytest.raises(Exception, match=r"no verb|No such option|requires an argument"):
        parse(wrong)
