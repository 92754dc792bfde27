"""Optical stages in backbones: the published block, widths, noise, nothing changed where a request is wrong."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError
from lightloom.nn.backbones import (
    Backbone,
    FeatureNoise,
    HybridConfig,
    OpticalBlock,
    OpticalStage,
    build_backbone,
    fit_chip,
    load_electronic,
    replace_stages,
)
from lightloom.nn.diffractive import DiffractiveConv2d

transformers = pytest.importorskip("transformers", reason="backbones are built by `transformers`")

CHIP = DiffractiveChip(name="small", grid=24, mask=8, layers=1)
pytestmark = pytest.mark.filterwarnings("ignore:Chip `small` has a way")  # its grid is small to be quick
SHAPE = (64, 96)


def hybrid(**fields: Any) -> HybridConfig:
    """With published mixing, on the grid of the chip, where nothing else is asked for."""
    return HybridConfig.parse({"mixing": "dense", "fit": "chip"} | fields)


def small() -> Backbone:
    return build_backbone("regnet-x", widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), embedding_size=8, groups_width=8)


def shapes(backbone: Backbone) -> list[tuple[int, ...]]:
    with torch.no_grad():
        return [tuple(made.shape[1:]) for made in backbone(torch.randn(2, 3, *SHAPE))]


@pytest.mark.parametrize("before", [True, False])
def test_a_block_is_its_published_parts(before: bool) -> None:
    block = OpticalBlock(8, 32, 2, CHIP, hybrid(mixing="depthwise", before_downsample=before)).eval()
    parts = block.path._modules
    for norm in (parts["norm1"], parts["norm2"], block.shortcut.norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 8, 10, 12)

    def norm(x: torch.Tensor, part: Any) -> torch.Tensor:
        shape = (1, -1, 1, 1)
        scaled = (x - part.running_mean.view(shape)) / (part.running_var.view(shape) + part.eps).sqrt()
        return scaled * part.weight.view(shape) + part.bias.view(shape)

    if before:
        y = norm(parts["optics"](x), parts["norm1"]).relu()
        y = norm(F.conv2d(y, parts["conv"].weight, stride=2, padding=1, groups=2), parts["norm2"])
    else:
        y = norm(F.conv2d(x, parts["conv"].weight, stride=2, padding=1), parts["norm1"]).relu()
        y = norm(parts["optics"](y), parts["norm2"])
    shortcut = norm(F.conv2d(x, block.shortcut.conv.weight, stride=2), block.shortcut.norm)
    torch.testing.assert_close(block(x), (y + shortcut).relu())
    assert block(x).shape == (2, 32, 5, 6)


def test_widths_chips_and_layers_of_each_stage_and_every_gradient() -> None:
    backbone = small()
    coarse = CHIP.replace(grid=12, mask=6)
    replace_stages(
        backbone, [CHIP, coarse], hybrid(stages=(2, 3), channels=(20, 12), layers=(1, 2), blocks=2), sample_shape=SHAPE
    )
    assert backbone.channels == (8, 16, 20, 12)
    assert shapes(backbone) == [(8, 16, 24), (16, 8, 12), (20, 4, 6), (12, 2, 3)]
    light = [part for part in backbone.modules() if isinstance(part, DiffractiveConv2d)]
    assert [tuple(part.turns.shape) for part in light] == [
        (20, 16, 1, 8, 8),
        (20, 20, 1, 8, 8),
        (12, 20, 2, 6, 6),
        (12, 12, 2, 6, 6),
    ]
    backbone(torch.randn(2, 3, *SHAPE))[-1].square().mean().backward()
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in backbone.parameters())


def test_a_stage_comes_back_to_its_width_where_an_electronic_one_follows() -> None:
    backbone = small()
    replace_stages(backbone, CHIP, hybrid(stages=(1,), channels=(4,), mixing="shared"), sample_shape=SHAPE)
    assert backbone.channels == (8, 16, 24, 32)
    assert shapes(backbone)[1] == (16, 8, 12)
    assert backbone.stages[1].restore.in_channels == 4
    replace_stages(
        backbone, CHIP, hybrid(stages=(3,), channels=(4,), mixing="shared"), sample_shape=SHAPE, keep_width=True
    )
    assert backbone.channels == (8, 16, 24, 32)


def test_a_stage_without_a_stride_keeps_its_map() -> None:
    backbone = build_backbone("resnet-tiny")
    replace_stages(backbone, CHIP, hybrid(stages=(0,), mixing="shared"), sample_shape=SHAPE)
    assert shapes(backbone)[0] == (24, 16, 24)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"stages": [4]}, "no stage 4: the backbone has 4"),
        ({"stages": [-1]}, "no stage -1"),
        ({"stages": [3, 0]}, "Stage 0 has maps of 32 x 48 and its chip a grid of 24 x 24"),
        ({"stages": [3, 3]}, "name one twice"),
        ({"stages": [3, 2], "channels": [8]}, "`channels` has 1 numbers for 2 stages"),
        ({"stages": [3], "blocks": 0}, "blocks.*greater than or equal to 1"),
        ({"stages": [3, 2], "mixing": "grouped", "groups": 5}, "groups"),
    ],
)
def test_a_wrong_request_changes_nothing(options: dict[str, Any], text: str) -> None:
    backbone = small()
    parts, channels = list(backbone.stages), backbone.channels
    with pytest.raises(RequestError, match=text):
        replace_stages(backbone, CHIP, hybrid(**options), sample_shape=SHAPE)
    assert all(now is before for now, before in zip(backbone.stages, parts, strict=True))
    assert backbone.channels == channels


@pytest.mark.parametrize(("rows", "columns"), [(26, 44), (7, 7), (13, 8), (1, 1), (30, 67)])
def test_a_fitted_grid_is_the_smallest_fast_one(rows: int, columns: int) -> None:
    def fast(size: int) -> bool:
        for prime in (2, 3, 5):
            while size % prime == 0:
                size //= prime
        return size == 1

    least = 2 * max(rows, columns)
    chip = fit_chip(CHIP.replace(method="band_limited"), rows, columns)
    assert chip.grid == next(size for size in range(least, 2 * least, 2) if fast(size))
    assert chip.mask in (max(rows, columns), max(rows, columns) + 1)
    assert chip.mask % 2 == 0


@pytest.mark.parametrize("distance", [4e-5, 1e-4, 3e-4])
def test_a_fitted_grid_samples_free_space_finely_enough(distance: float) -> None:
    """Where the angular spectrum needs it the grid is wider than the map asks for, and no wider than that."""
    chip = fit_chip(CHIP.replace(distance=distance, distance_in=distance / 2), 8, 8)
    assert chip.critical_distance >= distance
    assert chip.grid == 16 or chip.replace(grid=int(chip.grid * 0.85)).critical_distance < distance


def test_chips_are_fitted_to_the_map_that_meets_the_light() -> None:
    sizes = []
    for before in (True, False):
        backbone = small()
        near = CHIP.replace(method="band_limited")
        replace_stages(
            backbone,
            near,
            hybrid(stages=(2,), mixing="shared", fit="map", before_downsample=before),
            sample_shape=SHAPE,
        )
        sizes.append(backbone.stages[2].block0.path.optics.chip.grid)
    assert sizes == [24, 12]


def test_noise_hits_its_share_of_the_features_in_its_modes() -> None:
    x = torch.zeros(400, 500)
    noise = FeatureNoise(std=2.0, fraction=0.05)
    added = noise(x)
    hit = added[added != 0]
    assert len(hit) / x.numel() == pytest.approx(0.05, rel=0.05)
    assert hit.std().item() == pytest.approx(2.0, rel=0.05)
    assert noise.eval()(x).any()
    noise = FeatureNoise(modes=("train",))
    assert noise(x).any()
    assert not noise.eval()(x).any()
    assert FeatureNoise(std=0.0)(x) is x
    with pytest.raises(RequestError, match="fraction"):
        FeatureNoise(fraction=2)


def test_noise_stands_behind_the_stages_that_are_optical() -> None:
    backbone = small().eval()
    replace_stages(backbone, CHIP, hybrid(stages=(3,), mixing="shared", noise_std=1.0), sample_shape=SHAPE)
    images = torch.randn(1, 3, *SHAPE)
    with torch.no_grad():
        first, second = backbone(images), backbone(images)
    assert all(torch.equal(*pair) for pair in zip(first[:3], second[:3], strict=True))
    assert not torch.equal(first[3], second[3])


def test_weights_of_an_electronic_backbone_load_without_the_replaced_stages() -> None:
    teacher, student = small().eval(), small().eval()
    replace_stages(student, CHIP, hybrid(stages=(3,), channels=(8,), mixing="shared"), sample_shape=SHAPE)
    dropped = load_electronic(student, teacher.state_dict())
    assert dropped == [key for key in teacher.state_dict() if key.startswith("stages.3.")]
    images = torch.randn(1, 3, *SHAPE)
    with torch.no_grad():
        pairs = list(zip(teacher(images), student(images), strict=True))
    assert all(torch.equal(*pair) for pair in pairs[:3])
    wrong = {key: value for key, value in teacher.state_dict().items() if "stages.1" not in key}
    with pytest.raises(RequestError, match=r"stages\.1"):
        load_electronic(student, wrong)


def test_stages_of_a_backbone_of_transformers_are_replaced_in_place() -> None:
    config = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic", out_indices=[2, 3, 4]
    )
    backbone = transformers.RTDetrResNetBackbone(config)
    with torch.no_grad():
        before = [made.shape for made in backbone(torch.randn(1, 3, *SHAPE)).feature_maps]
    replace_stages(backbone, CHIP, hybrid(stages=(3,), channels=(4,), mixing="shared"), sample_shape=SHAPE)
    assert isinstance(backbone.encoder.stages[3], OpticalStage)
    maps = backbone(torch.randn(2, 3, *SHAPE)).feature_maps
    assert [made.shape[1:] for made in maps] == [shape[1:] for shape in before]
    maps[-1].sum().backward()
    assert backbone.encoder.stages[3].block0.path.optics.turns.grad.abs().sum() > 0
    with pytest.raises(RequestError, match=r"neither `stages` nor"):
        replace_stages(backbone.embedder, CHIP, hybrid(stages=(3,)), sample_shape=SHAPE)
