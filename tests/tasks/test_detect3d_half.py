"""Half precision is for features: where things are stays as exact as ever."""

import math

import torch

from lightloom.tasks.detection3d.deformable import DeformableAttention
from lightloom.tasks.detection3d.geometry import project_points
from lightloom.tasks.detection3d.temporal import warp

HALF = torch.autocast("cpu", torch.bfloat16)


def test_pixels_are_exact() -> None:
    project = torch.eye(4)
    project[:3] = torch.tensor([[800.0, -1266, 0, 10], [491, 0, -1266, 20], [1, 0, 0, 1]])
    points = torch.rand(200, 3) * torch.tensor([40.0, 20, 3]) + torch.tensor([5.0, -10, -1])
    exact = project_points(points.double(), project.double())
    with HALF:
        made = project_points(points, project)
    for ours, wanted in zip(made, exact, strict=True):
        torch.testing.assert_close(ours, wanted.float(), rtol=1e-5, atol=1e-3)


def test_the_map_of_the_moment_before_moves_exactly() -> None:
    motion = torch.eye(4)[None]
    motion[0, :2, :2] = torch.tensor([[math.cos(0.1), -math.sin(0.1)], [math.sin(0.1), math.cos(0.1)]])
    motion[0, :2, 3] = torch.tensor([1.3, -0.4])
    bev, area = torch.randn(1, 1, 100, 100), (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
    exact = warp(bev.double(), motion.double(), area)
    with HALF:
        made = warp(bev, motion, area)
    torch.testing.assert_close(made, exact.float(), rtol=1e-3, atol=1e-2)


def test_looks_go_to_a_small_part_of_a_cell() -> None:
    attention, cells = DeformableAttention(8, 2, 1, 4), 200
    references = torch.rand(50, 1, 1, 2)
    given = (torch.randn(50, 8), references, [(cells, cells)], torch.zeros(50, dtype=torch.long))
    exact = attention.sampling_locations(*given).locations
    with HALF:
        made = attention.sampling_locations(*given).locations
    assert cells * float((made - exact).detach().abs().max()) < 0.05
