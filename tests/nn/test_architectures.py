"""A sample of the architectures of transformers, each kind once: electronic and ideal-chip outputs agree."""

import pytest
import torch

pytest.importorskip("transformers")

from lightloom.bench.architectures import TOLERANCE, architectures, compare

KINDS = {
    "bert": "encoder",
    "gpt2": "decoder, with projections of its own class and a tied head",
    "t5": "encoder and decoder",
    "mixtral": "mixture of experts",
    "mamba": "state space, which reads weights itself",
    "jamba": "state space, attention and experts",
    "whisper": "speech, which reads strides",
    "wav2vec2": "speech, with a parametrized convolution",
    "vit": "vision",
    "mobilenet_v2": "vision, which reads the geometry of convolutions",
    "yolos": "detection",
    "clip": "words and images",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_outputs_on_an_ideal_chip_are_the_electronic_ones(name: str) -> None:
    outcome = compare(name)
    assert (outcome.state, outcome.why) == ("agrees", "")
    assert max(outcome.difference, outcome.back) <= TOLERANCE
    assert 0 < outcome.called <= outcome.optical < outcome.layers
    assert (outcome.reads > 0) == (name in ("mamba", "jamba"))


def test_the_bench_counts_what_cannot_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    row = architectures(only=["timm_wrapper", "distilbert"])
    assert (row["known"], row["built"], row["run"], row["agree"]) == (2, 1, 1, 1)
    assert "timm" in row["not_built"]["timm_wrapper"]
    assert row["failed"] == row["differs"] == row["no_input"] == {}
    assert row["torch"] == torch.__version__
