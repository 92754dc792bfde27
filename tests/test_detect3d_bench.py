"""The bench of detectors in space gives plain figures, and compares ways that compute the same."""

import json

import pytest
import torch
import yaml

from lightloom.bench import detect3d as bench
from lightloom.bench.measure import peak_of_child

pytest.importorskip("transformers", reason="backbones are built by `transformers`")

SMALL = bench.Looks(5, 2, 6, 2, ((4, 6), (2, 3)), 3)


def test_every_figure_is_there_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CASE", bench.Case("toy", 1, 32, 64))
    monkeypatch.setattr(bench, "LOOPED", SMALL)
    monkeypatch.setattr(bench, "PADDED", SMALL)
    monkeypatch.setattr(bench, "peak_of_child", lambda name, way, seed, *case: 1024 * len(way))
    figures = bench.detect3d(rounds=1)
    assert json.loads(json.dumps(figures)) == yaml.safe_load(yaml.safe_dump(figures)) == figures
    for name in ("hit_camera_speedup", "hit_encoder_speedup", "deformable_speedup", "padded_speedup", "step_ms"):
        assert figures[name] > 0
    assert figures["peak_memory_mb"] == 4 and figures["hit_memory_ratio"] == 1.3333
    for name in ("hit_camera_error", "deformable_error", "padded_error"):
        assert figures[name] < 1e-5


@pytest.mark.parametrize("plain", [bench.looped, bench.padded])
def test_plain_ways_compute_the_same_and_its_gradients(plain) -> None:  # type: ignore[no-untyped-def]
    maps, locations, weights, image = bench._inputs(SMALL, 0)
    locations = (locations.detach() * 1.6 - 0.3).requires_grad_()  # some of them outside
    ours, theirs = (way(maps, locations, weights, image) for way in (bench._ours, plain))
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(ours)
    for one, other in zip(
        *(torch.autograd.grad(y, (*maps, locations, weights), upstream) for y in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_the_ways_have_the_same_weights_and_a_step_reaches_all_of_them() -> None:
    case = bench.Case("toy", 1, 32, 64)
    hits, everything = (bench._detector(case, way, 3) for way in ("hits", "all"))
    assert hits.config.hits_only and not everything.config.hits_only
    assert all(torch.equal(a, b) for a, b in zip(hits.parameters(), everything.parameters(), strict=True))
    bench._step(hits, bench._views(case, 0), bench._boxes(case, 0))()
    assert all(weights.grad is not None for weights in hits.parameters())


def test_cameras_look_where_they_are_turned() -> None:
    case = bench.Case("toy", 1, 32, 64)
    for yaw, ahead in ((0.0, (10.0, 0.0)), (90.0, (0.0, 10.0)), (180.0, (-10.0, 0.0))):
        u, v, depth, _ = (bench._projection(case, yaw, 90.0) @ torch.tensor([*ahead, 1.6, 1.0])).tolist()
        assert (u / depth, v / depth, depth) == pytest.approx((32, 16, 10), abs=1e-4)


def test_a_process_of_its_own_reports_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CASE", bench.Case("toy", 6, 64, 96))
    assert peak_of_child("detect3d", "hits", 0, *bench.CASE) > 2**12  # KiB
