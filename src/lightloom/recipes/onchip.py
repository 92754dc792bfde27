"""Learning on the chip."""

from __future__ import annotations

from lightloom.config import DataConfig, ModelConfig, RunConfig
from lightloom.learn import TrainConfig


def digits(data: str = "digits", quick: bool = False) -> RunConfig:
    """A small CNN that collapses on a manufactured chip and learns its way back, singular values and norms alone.

    Args:
        data: "digits" (embedded), "mnist", "fashion_mnist" or "kmnist".
        quick: Fewer epochs and, on the larger sets, fewer images: to see it work.
    """
    embedded = data == "digits"
    train, learn = (20, 30) if embedded else (6, 10)
    if quick:
        train, learn = (8, 12) if embedded else (2, 3)
    return RunConfig(
        recipe="onchip/digits",
        # 8x8 images are too small to share out: a second thread only waits, and waits long on a busy machine
        threads=1 if embedded else None,
        data=DataConfig(name=data, limit=10_000 if quick and not embedded else None),
        model=ModelConfig(name="cnn", width=24),
        train=TrainConfig(epochs=train, batch_size=64, lr=3e-3),
        learn=TrainConfig(epochs=learn, batch_size=64, lr=1e-2),
    )
