"""ResNets of the published sizes."""

import pytest
import torch

from lightloom.nn.backbones import build_backbone

pytest.importorskip("transformers", reason="backbones are built by `transformers`")


@pytest.mark.parametrize(("name", "whole"), [("resnet-50", 25_557_032), ("resnet-101", 44_549_160)])
def test_parameters_are_those_of_the_published_networks(name: str, whole: int) -> None:
    """Published counts include a classifier of 2048 features and 1000 classes."""
    with torch.device("meta"):
        backbone = build_backbone(name)
    assert sum(part.numel() for part in backbone.parameters()) == whole - 2049 * 1000
    assert backbone.channels == (256, 512, 1024, 2048) and backbone.strides == (4, 8, 16, 32)
