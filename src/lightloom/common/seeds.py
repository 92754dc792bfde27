"""Random streams with names: one seed gives every part of a run its own, independent of the others."""

from __future__ import annotations

import hashlib

import torch


def named_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed from a run's seed and the names of the part that draws. The same on every machine."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def named_generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator seeded by `named_seed`: its numbers do not depend on the device they end up on."""
    return torch.Generator().manual_seed(named_seed(seed, *names))
