"""A plain vision transformer as a backbone: its pyramid, weights from elsewhere, optical blocks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError
from lightloom.nn.backbones import (
    HybridConfig,
    OpticalViTBlock,
    VisionTransformer,
    build_backbone,
    load_electronic,
    replace_blocks,
    replace_stages,
)

transformers = pytest.importorskip("transformers", reason="backbones are built by `transformers`")

CHIP = DiffractiveChip(name="small", grid=8, mask=4, layers=1)
pytestmark = pytest.mark.filterwarnings("ignore:Chip `small` has a way")  # its grid is small to be quick
SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 64}
SHAPE = (64, 96)


def hybrid(**fields: Any) -> HybridConfig:
    """With published mixing, on the grid of the chip, where nothing else is asked for."""
    return HybridConfig.parse({"mixing": "dense", "fit": "chip"} | fields)


def small(**more: Any) -> VisionTransformer:
    options = {"num_attention_heads": 2, "image_size": 64, "window_size": 2, "window_block_indices": [0, 1], **more}
    made = build_backbone("vit", widths=[16], depths=[4], **options)
    assert isinstance(made, VisionTransformer)
    return made


def test_the_pyramid_is_made_of_the_last_map_of_transformers() -> None:
    ours = small().eval()
    config = transformers.VitDetConfig(**SIZES, window_size=2, window_block_indices=[0, 1])
    theirs = transformers.VitDetModel(config).eval()
    theirs.embeddings.load_state_dict(ours.stem.state_dict())
    for block, layer in zip(ours.stages, theirs.encoder.layer, strict=True):
        layer.load_state_dict(block.layer.state_dict())
    images = torch.randn(2, 3, *SHAPE)
    with torch.no_grad():
        maps = ours(images)
        last = theirs(images).last_hidden_state
    normed = F.layer_norm(last.movedim(1, -1), (16,), eps=1e-6).movedim(-1, 1)
    torch.testing.assert_close(maps[2], normed)
    torch.testing.assert_close(maps[3], F.max_pool2d(normed, 2))
    assert [64 // made.shape[2] for made in maps] == list(ours.strides) == [4, 8, 16, 32]
    assert [made.shape[1] for made in maps] == list(ours.channels) == [16] * 4


@pytest.mark.parametrize("kind", ["ViT", "ViTMAE"])
def test_a_plain_vit_gives_its_weights(kind: str, tmp_path: Path) -> None:
    config = getattr(transformers, f"{kind}Config")(**SIZES, intermediate_size=64)
    theirs = getattr(transformers, f"{kind}Model")(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = build_backbone("vit", pretrained=str(tmp_path)).eval()
    tokens = torch.randn(2, 24, 16)
    with torch.no_grad():
        for block, layer in zip(ours.stages, theirs.layers, strict=True):
            expected = layer(tokens)
            expected = expected[0] if isinstance(expected, tuple) else expected
            made = block(tokens.transpose(1, 2).unflatten(2, (4, 6)))
            torch.testing.assert_close(made.flatten(2).transpose(1, 2), expected)
    images = torch.randn(1, 3, 64, 64)
    patches = theirs.embeddings.patch_embeddings(images) + theirs.embeddings.position_embeddings[:, 1:]
    torch.testing.assert_close(ours.stem(images).flatten(2).transpose(1, 2), patches)
    with pytest.raises(RequestError, match="`hidden_size` 16, not 96"):
        build_backbone("vit-tiny", pretrained=str(tmp_path))


@pytest.mark.parametrize(("merge", "left"), [(True, 3), (False, 4)])
def test_the_last_blocks_become_optical(merge: bool, left: int) -> None:
    backbone = small()
    replace_blocks(
        backbone, CHIP, hybrid(stages=(2, 3), channels=(6, 6)), sample_shape=SHAPE, merge=merge, drop_path=0.1
    )
    assert len(backbone.stages) == left
    optical = [part for part in backbone.modules() if isinstance(part, OpticalViTBlock)]
    assert len(optical) == left - 2
    assert optical[0].optics.turns.shape == (6, 6, 1, 4, 4)
    maps = backbone(torch.randn(8, 3, *SHAPE))
    assert [tuple(made.shape[1:]) for made in maps] == [(16, 16, 24), (16, 8, 12), (16, 4, 6), (16, 2, 3)]
    sum(made.square().mean() for made in maps).backward()
    assert optical[-1].optics.turns.grad.abs().sum() > 0


def test_a_narrow_last_block_gets_a_narrow_pyramid() -> None:
    backbone = small()
    replace_blocks(
        backbone, CHIP, hybrid(stages=(3,), channels=(6,), mixing="shared"), sample_shape=SHAPE, keep_width=False
    )
    assert backbone.channels == (6, 6, 6, 6)
    assert backbone(torch.randn(1, 3, *SHAPE))[0].shape == (1, 6, 16, 24)


def test_an_optical_block_is_its_published_parts() -> None:
    block = OpticalViTBlock(16, 6, 16, CHIP, hybrid(mixing="depthwise")).eval()
    x = torch.randn(2, 16, 4, 6)

    def linear(x: torch.Tensor, part: Any) -> torch.Tensor:
        return F.linear(x.movedim(1, -1), part.weight.flatten(1), part.bias).movedim(-1, 1)

    def norm(x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x.movedim(1, -1), (6,), eps=1e-6).movedim(-1, 1)

    y = linear(x, block.down)
    y = y + block.optics(norm(y))
    y = y + linear(F.gelu(linear(norm(y), block.mlp.fc1)), block.mlp.fc2)
    torch.testing.assert_close(block(x), linear(y, block.up))


def test_images_pass_by_as_often_as_asked_and_the_mean_is_kept() -> None:
    block = OpticalViTBlock(16, 6, None, CHIP, hybrid(mixing="depthwise"), drop_path=0.25)
    kept = block._drop(torch.ones(4000, 1, 1, 1))
    assert kept.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert kept.mean().item() == pytest.approx(1, abs=0.05)
    assert block.eval()._drop(kept) is kept


def test_weights_of_the_electronic_one_load_into_a_merged_one() -> None:
    teacher, student = small().eval(), small().eval()
    replace_blocks(student, CHIP, hybrid(stages=(2, 3), channels=(6, 6), mixing="shared"), sample_shape=SHAPE)
    dropped = load_electronic(student, teacher.state_dict())
    assert {key.split(".")[1] for key in dropped} == {"2", "3"}
    for key, value in student.state_dict().items():
        if not key.startswith("stages.2."):
            assert torch.equal(value, teacher.state_dict()[key])


@pytest.mark.parametrize("blocks", [[], [1, 2], [1, 3], [4]])
def test_only_the_last_blocks_are_replaced(blocks: list[int]) -> None:
    backbone = small()
    with pytest.raises(RequestError, match="neighbours up to the last"):
        replace_blocks(backbone, CHIP, hybrid(stages=blocks), sample_shape=SHAPE)
    assert len(backbone.stages) == 4


def test_a_large_map_and_a_wrong_verb_are_refused() -> None:
    backbone = small()
    with pytest.raises(RequestError, match="Block 3 has maps of 8 x 12 and its chip a grid of 8 x 8"):
        replace_blocks(backbone, CHIP, hybrid(stages=(3,)), sample_shape=(128, 192))
    with pytest.raises(RequestError, match="`replace_blocks`"):
        replace_stages(backbone, CHIP, hybrid(stages=(3,)), sample_shape=SHAPE)
