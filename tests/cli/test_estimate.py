"""Networks that are counted and never built in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lightloom.commands.estimate import estimate, known_network
from lightloom.common.errors import RequestError

pytest.importorskip("transformers")

TINY = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 50,
    "max_position_embeddings": 20,
}


def described(folder: Path, **changes: Any) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(TINY | changes))
    return str(path)


def test_a_described_network_is_counted_layer_by_layer(tmp_path: Path) -> None:
    bill = estimate(described(tmp_path), ["chip=noems"], tokens=9, out=tmp_path / "out")
    layers = {layer["name"].rpartition(".layer.")[2]: layer for layer in bill["layers"]}
    # a layer of 16 to 32 in blocks of 8 is 4 x 2 cores; a call takes 8 of the 9 words, one per wavelength
    assert layers["0.intermediate.dense"]["cores"] == 8
    assert layers["0.intermediate.dense"]["calls"] == 8 * 2
    assert json.loads((tmp_path / "out" / "cost.json").read_text())["boundaries"] == bill["boundaries"]


def test_nothing_is_held_in_memory(tmp_path: Path) -> None:
    model, sample = known_network(described(tmp_path), tokens=3)
    assert {str(tensor.device) for tensor in (*model.parameters(), sample)} == {"meta"}


@pytest.mark.parametrize("tokens", [0, -1, 21])
def test_texts_of_a_length_that_does_not_fit_are_refused(tmp_path: Path, tokens: int) -> None:
    with pytest.raises(RequestError, match="1 to 20"):
        known_network(described(tmp_path), tokens=tokens)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"model_type": "nope"}, "nope"), ({"num_hidden_layers": "x"}, "x"), ({"num_attention_heads": 5}, "5")],
)
def test_what_describes_no_network_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RequestError, match=told) as error:
        known_network(described(tmp_path, **changes), tokens=4)
    assert "config.json" in str(error.value)


def test_an_unknown_network_is_told_the_nearest() -> None:
    with pytest.raises(RequestError, match="resnet-50"):
        known_network("resnet50")
