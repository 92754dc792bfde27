"""The layer bench gives plain figures, and compares layers that compute the same."""

import json

import torch
import yaml
from torch import nn

from lightloom import chips
from lightloom.bench.layer import _optical, layer


def test_every_figure_is_there_and_plain() -> None:
    figures = layer(rounds=1)
    assert json.loads(json.dumps(figures)) == yaml.safe_load(yaml.safe_dump(figures)) == figures
    for name in ("linear_eval", "linear_train", "conv_eval", "conv_train"):
        assert figures[name] > 0


def test_the_compared_layers_compute_the_same_on_an_ideal_chip() -> None:
    for plain, shape in ((nn.Linear(12, 20), (3, 12)), (nn.Conv2d(2, 3, 3), (3, 2, 5, 5))):
        x = torch.randn(shape)
        optical = _optical(plain, chips.preset("ideal"))
        torch.testing.assert_close(optical(x), plain(x), atol=1e-5, rtol=1e-5)
