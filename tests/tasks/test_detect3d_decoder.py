"""The decoder: how boxes are refined, what DETR3D samples, and that it serves as a head of its own."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.cross_attention import BEVCrossAttention, CameraCrossAttention
from lightloom.tasks.detection3d.decoder import Decoder
from lightloom.tasks.detection3d.deformable import SamplingLocations
from lightloom.tasks.detection3d.geometry import inverse_sigmoid, to_metres
from lightloom.tasks.detection3d.sizes import Detector3DConfig

AREA = (-10.0, -6.0, -3.0, 10.0, 6.0, 1.0)
FRAME = (32, 48)
GROUND = Detector3DConfig(
    channels=8, heads=2, queries=5, decoder_layers=3, feedforward=16, levels=2, rows=6, columns=10, dropout=0.0,
    area=AREA, cameras=4,
)  # fmt: skip
CAMERAS = GROUND.replace(kind="detr3d")


def stirred(config: Detector3DConfig) -> Decoder:
    """With no weight at zero, so that everything counts."""
    decoder = Decoder(config, 3).eval()
    for part in decoder.parameters():
        nn.init.normal_(part, std=0.4)
    return decoder


def cameras(samples: int = 2, *, number: int = 3) -> CameraMaps:
    project = torch.zeros(samples, number, 4, 4)
    for sample in range(samples):
        for camera in range(number):
            yaw = 2 * math.pi * camera / number + 0.3 * sample
            c, s = math.cos(yaw), math.sin(yaw)
            optical = torch.tensor([[s, -c, 0.0], [0.0, 0.0, -1.0], [c, s, 0.0]])
            lens = torch.tensor([[20.0, 0, FRAME[1] / 2], [0, 20.0, FRAME[0] / 2], [0, 0, 1]])
            project[sample, camera, :3, :3] = lens @ optical
            project[sample, camera, 3, 3] = 1
    maps = tuple(torch.randn(samples * number, 8, FRAME[0] // s, FRAME[1] // s) for s in (8, 16))
    extent = torch.tensor([FRAME[1], FRAME[0]]).float().expand(samples, number, 2).clone()
    extent[0, -1] = torch.tensor([30.0, 20.0])
    return CameraMaps(maps, (8, 16), project, extent, FRAME)


def ground(samples: int = 2) -> Tensor:
    return torch.randn(samples, 8, 6, 10)


def test_centres_are_references_in_metres_and_stay_in_the_area() -> None:
    decoded = stirred(GROUND)(ground())
    assert decoded.class_logits.shape == (3, 2, 5, 3) and decoded.codes.shape == (3, 2, 5, 10)
    assert decoded.references.shape == (3, 2, 5, 3)
    torch.testing.assert_close(decoded.codes[..., [0, 1, 4]], to_metres(decoded.references, AREA))
    assert (decoded.references > 0).all() and (decoded.references < 1).all()


def test_each_layer_moves_what_the_one_before_found() -> None:
    """With a last linear layer that always says the same, centres move by that in logits."""
    decoder = stirred(GROUND)
    move = torch.tensor([0.3, -0.2, 0.0, 0.0, 0.1, 0, 0, 0, 0, 0])
    for head in decoder.regress:
        nn.init.zeros_(head[-1].weight)
        head[-1].bias.data.copy_(move)
    decoded = decoder(ground())
    start = inverse_sigmoid(decoder.start.place(decoder.start.position).sigmoid())
    for layer in range(3):
        wanted = (start + (layer + 1) * move[[0, 1, 4]]).sigmoid().expand(2, -1, -1)
        torch.testing.assert_close(decoded.references[layer], wanted)


def test_a_layer_gets_no_gradients_through_the_references_of_the_next() -> None:
    decoder = stirred(GROUND)
    decoded = decoder(ground())
    # the first layer's box head serves the second layer through its reference alone
    decoded.codes[1].sum().backward()
    assert all(part.grad is None or not part.grad.any() for part in decoder.regress[0].parameters())
    assert all(part.grad is not None and part.grad.any() for part in decoder.regress[1].parameters())


def test_scores_are_low_at_the_start() -> None:
    logits = Decoder(GROUND, 3)(ground()).class_logits
    assert float(logits.sigmoid().mean().detach()) < 0.05


@pytest.mark.parametrize("config", [GROUND, CAMERAS], ids=["ground", "cameras"])
def test_a_recorder_sees_the_aim_of_every_layer(config: Detector3DConfig) -> None:
    """And what a layer saw comes again of its aim."""
    decoder = stirred(config)
    source = ground() if config.kind == "bevformer" else cameras()
    recorded: list[tuple[int, Tensor, Tensor]] = []
    seen: list[Tensor] = []
    for layer in decoder.layers:
        layer.cross.combine = watched(layer.cross.combine, seen)  # type: ignore[method-assign]

    def record(layer: int, attention: BEVCrossAttention | CameraCrossAttention, sampling: SamplingLocations) -> None:
        values = attention.project_values(source)
        recorded.append((layer, attention.sample_values(values, sampling), sampling.locations))

    plain = decoder(source)
    seen.clear()
    led = decoder(source, record)
    assert [layer for layer, _, _ in recorded] == [0, 1, 2]
    for (_, gathered, _), saw in zip(recorded, seen, strict=True):
        assert gathered.shape == (10, 8)
        torch.testing.assert_close(gathered, saw)
    assert all(torch.equal(one, other) for one, other in zip(plain[:3], led[:3], strict=True))


def watched(combine, seen):  # type: ignore[no-untyped-def]
    def watching(query: Tensor, saw: Tensor, references: Tensor) -> Tensor:
        seen.append(saw)
        return combine(query, saw, references)

    return watching


@pytest.mark.parametrize("config", [GROUND, CAMERAS], ids=["ground", "cameras"])
def test_a_copy_serves_by_itself(config: Detector3DConfig) -> None:
    decoder = stirred(config)
    source = ground() if config.kind == "bevformer" else cameras()
    head = copy.deepcopy(decoder)
    pairs = zip(decoder(source)[:3], head(source)[:3], strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    head(source).codes.sum().backward()
    assert all(part.grad is None for part in decoder.parameters())


@pytest.mark.parametrize("config", [GROUND, CAMERAS], ids=["ground", "cameras"])
def test_a_batch_of_two_is_two_batches_of_one(config: Detector3DConfig) -> None:
    decoder, both_grounds, both_cameras = stirred(config), ground(), cameras()
    both = decoder(both_grounds if config.kind == "bevformer" else both_cameras)
    for sample in range(2):
        own = slice(sample, sample + 1)
        one = both_cameras._replace(
            maps=tuple(level[sample * 3 : sample * 3 + 3] for level in both_cameras.maps),
            project=both_cameras.project[own], extent=both_cameras.extent[own],
        )  # fmt: skip
        alone = decoder(both_grounds[own] if config.kind == "bevformer" else one)
        for many, single in zip(both[:3], alone[:3], strict=True):
            torch.testing.assert_close(many[:, own], single)


def bilinear(plane: Tensor, x: float, y: float) -> float:
    column, row = x * plane.shape[1] - 0.5, y * plane.shape[0] - 0.5
    left, top = math.floor(column), math.floor(row)
    total = 0.0
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < plane.shape[0] and 0 <= j < plane.shape[1]:
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * float(plane[i, j])
    return total


@pytest.mark.parametrize("hits_only", [True, False])
def test_detr3d_samples_as_published(hits_only: bool) -> None:
    """Sigmoid weights of every camera and level, over the cameras that see the reference point."""
    config = CAMERAS.replace(hits_only=hits_only)
    cross = CameraCrossAttention(config)
    nn.init.normal_(cross.weigh.weight)
    given, query, references = cameras(), torch.randn(2, 5, 8), torch.rand(2, 5, 3)
    with torch.no_grad():
        seen = cross.attend(given, cross.sampling_locations(query, references, given))
        weights = cross.weigh(query).sigmoid().view(2, 5, 4, 2)
    looked = 0
    for sample in range(2):
        for number in range(5):
            point = torch.cat((to_metres(references[sample, number], AREA), torch.ones(1)))
            wanted = torch.zeros(8)
            for camera in range(3):
                u, v, depth = (given.project[sample, camera] @ point)[:3].tolist()
                width, height = given.extent[sample, camera].tolist()
                if depth > 1e-5 and 0 < u / depth < width and 0 < v / depth < height:
                    looked += 1
                    for level, planes in enumerate(given.maps):
                        taken = [
                            bilinear(plane, u / depth / FRAME[1], v / depth / FRAME[0])
                            for plane in planes[sample * 3 + camera]
                        ]
                        wanted += weights[sample, number, camera, level] * torch.tensor(taken)
            torch.testing.assert_close(seen[sample * 5 + number], wanted, atol=1e-5, rtol=1e-4)
    assert looked > 3


def test_fewer_cameras_are_fine_and_more_are_refused() -> None:
    decoder = stirred(CAMERAS)
    for number in (1, 2, 4):
        assert decoder(cameras(1, number=number)).codes.isfinite().all()
    with pytest.raises(RequestError, match="5 cameras are given to a detector with weights for 4"):
        decoder(cameras(1, number=5))


def test_half_precision_keeps_centres_exact() -> None:
    decoder = stirred(GROUND)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        decoded = decoder(ground())
    assert decoded.codes.dtype == decoded.references.dtype == torch.float32
