"""A small transformer that learns a text character by character, and goes on a chip."""

from __future__ import annotations

from lightloom.chips import preset
from lightloom.learn import TrainConfig
from lightloom.tasks.language.config import LanguageConfig, TextConfig, TransformerConfig

_TRAIN = TrainConfig(epochs=20, batch_size=16, lr=3e-3, clip_norm=1.0)
_LEARN = TrainConfig(epochs=4, batch_size=16, lr=2e-3, clip_norm=1.0)


def chars(data: str = "pydoc", quick: bool = False) -> LanguageConfig:
    """A character-level transformer that collapses on a manufactured chip, and comes back: bits per character.

    Args:
        data: "pydoc", the help texts of Python, which are always there, or the path of a text file in UTF-8.
        quick: Two blocks of 48 features that see 32 characters, on small meshes, in place of three of 96 that see 64.
    """
    return LanguageConfig(
        recipe="lm/chars",
        threads=1 if quick else None,
        data=TextConfig(name=data),
        model=TransformerConfig(context=32, width=48, depth=2) if quick else TransformerConfig(),
        chip=preset("l2ight").replace(block_size=4 if quick else 8),
        train=_TRAIN.replace(epochs=4, lr=5e-3) if quick else _TRAIN,
        learn=_LEARN.replace(epochs=1) if quick else _LEARN,
    )
