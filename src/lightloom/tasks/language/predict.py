"""Texts of a user's own, gone on with by a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from lightloom.common.errors import RequestError
from lightloom.common.files import reserve, write_json
from lightloom.common.marks import claim
from lightloom.common.processes import best_device
from lightloom.common.progress import follow
from lightloom.tasks.base import Interface, Prediction
from lightloom.tasks.language.config import LanguageConfig
from lightloom.tasks.language.generate import generate_text
from lightloom.tasks.language.text import read_text
from lightloom.tasks.language.windows import UNKNOWN, Alphabet

FILE = "texts.json"
"""What is written to the folder of a request."""


def continue_texts(
    model: nn.Module, config: LanguageConfig, interface: Interface, request: Prediction
) -> dict[str, Any]:
    """Go on with texts, and write `texts.json`.

    Args:
        model: A trained network.
        config: That it was trained with; `generate` says how long and how freely to write.
        interface: The characters that it knows.
        request: Its inputs are text files, or the words themselves where there is no such file.

    Returns:
        As in `texts.json`: `case`, and `texts` with `prompt`, `text`, and in `unknown` what of the prompt was never
        learnt.

    Raises:
        RequestError: A set is named by `source`, or a file holds no text.
    """
    if request.source:
        raise RequestError("A run that learns a text has no scenes; leave `--scenes` out, and give prompts.")
    alphabet, settings = Alphabet(interface["characters"]), config.generate
    prompts = [_prompt(entry) for entry in request.inputs]
    claim(request.out, "texts")
    reserve(request.out / FILE)
    model.to(best_device(request.device))
    texts = []
    with follow("write", len(prompts)) as report:
        for number, prompt in enumerate(prompts, 1):
            text = generate_text(
                model,
                alphabet,
                prompt,
                length=settings.length,
                context=config.model.context,
                temperature=settings.temperature,
                seed=config.seed,
            )
            unknown = "".join(sorted(set(prompt) - set(alphabet.characters) - {UNKNOWN}))
            texts.append({"prompt": prompt, "text": text, "unknown": unknown})
            report(number, text[:20])
    result = {"case": request.case, "texts": texts}
    write_json(request.out / FILE, result)
    return result


def _prompt(text: str) -> str:
    """The text of a file, or the words themselves where there is none of that name."""
    try:
        is_file = Path(text).expanduser().is_file()
    except (OSError, ValueError):  # words that are too long for a name
        is_file = False
    return read_text(str(Path(text))).characters if is_file else text
