"""Which stage learns from which, what makes them comparable, and errors that name the stage."""

import pytest
import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.learn.distil import Adapters, Pair, Response, features_of, match, response_of


def maps(*shapes: tuple[int, int, int]) -> tuple[Tensor, ...]:
    return tuple(torch.randn(2, *shape) for shape in shapes)


TEACHER = maps((8, 16, 24), (16, 8, 12), (32, 4, 6), (64, 2, 3))


def test_as_many_stages_are_partners_in_their_order() -> None:
    student = maps((4, 16, 24), (16, 8, 12), (20, 4, 6), (5, 2, 3))
    adapters = Adapters(TEACHER, student)
    assert adapters.pairs == tuple(Pair(n, n) for n in range(4))
    shapes = [(1, convolution.in_channels, convolution.out_channels) for convolution in adapters.convolutions]  # type: ignore[union-attr]
    assert shapes == [(1, 4, 8), (1, 16, 16), (1, 20, 32), (1, 5, 64)]
    for stage, teacher, own in zip(adapters(TEACHER, student), TEACHER, student, strict=True):
        assert stage.teacher is teacher and stage.student is own
        assert stage.adapted.shape == teacher.shape


def test_stages_that_are_left_out_need_not_match() -> None:
    student = maps((4, 16, 24), (16, 7, 3), (20, 4, 6), (5, 2, 3))
    assert match(TEACHER, student, (3, 0)) == (Pair(3, 3), Pair(0, 0))
    with pytest.raises(
        RequestError, match=r"Stage 1 of the student is \(2, 16, 7, 3\) .*\(2, 16, 8, 12\): 7 x 3 and 8 x 12"
    ):
        match(TEACHER, student)
    with pytest.raises(RequestError, match=r"`stages` names stage 4, .* 0 ... 3: \(16 x 24, "):
        match(TEACHER, student, (0, 4))


def test_other_numbers_of_stages_are_matched_by_size() -> None:
    late = maps((4, 8, 12), (4, 2, 3))
    assert match(TEACHER, late) == (Pair(0, 1), Pair(1, 3))
    assert match(late, TEACHER) == (Pair(1, 0), Pair(3, 1))
    assert match(late, TEACHER, (3,)) == (Pair(3, 1),)


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        (maps((4, 8, 12), (4, 3, 3)), r"Stage 1 of the student has no partner of 3 x 3 .*4 stages \(16 x 24, 8 x 12,"),
        (maps(*[(4, 2, 3)] * 5), r"Stage 0 of the teacher has no partner of 16 x 24 .*5 stages"),
        (
            maps((4, 16, 24), (4, 8, 12), (4, 4, 6), (4, 2, 3), (9, 2, 3)),
            r"Stage 3 of the teacher has the partners \[3, 4\]",
        ),
    ],
)
def test_partners_that_size_does_not_decide_are_named(student: tuple[Tensor, ...], expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        match(TEACHER, student)


@pytest.mark.parametrize(
    ("fine", "coarse"),
    [
        ((16, 24), (8, 12)),
        ((25, 44), (13, 22)),
        ((25, 44), (12, 22)),
        ((25, 44), (7, 11)),
        ((5, 5), (5, 5)),
        ((3, 5), (1, 2)),
    ],
)
def test_one_ratio_up_to_the_rounding_of_strides_is_resized_both_ways(
    fine: tuple[int, int], coarse: tuple[int, int]
) -> None:
    for teacher, student in ((fine, coarse), (coarse, fine)):
        features, own = maps((3, *teacher)), maps((2, *student))
        (stage,) = Adapters(features, own)(features, own)
        assert stage.student.shape == (2, 2, *teacher) and stage.adapted.shape == features[0].shape


@pytest.mark.parametrize(
    ("one", "other"), [((16, 24), (8, 24)), ((16, 16), (8, 6)), ((4, 9), (6, 6)), ((24, 16), (16, 24))]
)
def test_two_ratios_are_refused_both_ways(one: tuple[int, int], other: tuple[int, int]) -> None:
    for teacher, student in ((one, other), (other, one)):
        with pytest.raises(
            RequestError, match=r"Stage 0 of the student .* stage 0 of the teacher .* no one ratio apart"
        ):
            match(maps((3, *teacher)), maps((3, *student)))


def test_resizing_averages_down_and_interpolates_up() -> None:
    own = maps((3, 8, 8))
    coarse, fine = maps((3, 2, 2)), maps((3, 16, 16))
    down = Adapters(coarse, own, adapt=False)(coarse, own)[0].student
    assert torch.allclose(down, own[0].unflatten(2, (2, 4)).unflatten(4, (2, 4)).mean((3, 5)), atol=1e-6)
    slope = (torch.arange(8.0).expand(1, 1, 8, 8),)
    up = Adapters(fine, slope, adapt=False)(fine, slope)[0].student
    assert torch.allclose(up[0, 0, 3, 1:-1], torch.arange(1, 15) / 2 - 0.25)


def test_without_adapters_there_are_no_parameters() -> None:
    adapters = Adapters(TEACHER, TEACHER, adapt=False)
    assert not list(adapters.parameters())
    assert all(stage.adapted is None for stage in adapters(TEACHER, TEACHER))


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(RequestError, match="The student gives no features"):
        match(TEACHER, ())
    with pytest.raises(RequestError, match=r"Stage 1 of the teacher is \(2, 7\)"):
        match((TEACHER[0], torch.zeros(2, 7)), TEACHER[:2])


def test_layers_are_watched_and_left_as_they_were() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 5))
    inputs = torch.randn(3, 1, 4, 4)
    with features_of(model, ("3", "1")) as found:
        outputs = model(inputs)
    assert torch.equal(found["1"], model[1](model[0](inputs)))
    assert torch.equal(found["3"], outputs[:, :, None, None])
    assert all(not module._forward_hooks for module in model.modules())
    with pytest.raises(RequestError, match="no layer `con`"), features_of(model, ("con",)):
        pass


def test_a_layer_that_gives_no_map_is_named() -> None:
    class Pairs(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    for layer, inputs, expected in (
        (nn.Identity(), torch.zeros(2, 3, 4), r"shape \(2, 3, 4\)"),
        (Pairs(), torch.zeros(2, 3), "a tuple"),
    ):
        model = nn.Sequential(layer)
        with pytest.raises(RequestError, match=f"Layer `0` gives {expected}"), features_of(model, ("0",)):
            model(inputs)
        assert not layer._forward_hooks


def test_outputs_are_read_by_their_names() -> None:
    logits = torch.zeros(2, 5)
    assert response_of(logits) == Response((), (logits,))

    class Outputs:
        features = TEACHER
        logits = torch.zeros(2, 5, 3, 3)
        boxes = None
        centerness = (torch.zeros(2, 1, 3, 3),)

    response = response_of(Outputs())
    assert response.features == TEACHER and response.boxes is None
    assert response.logits is not None and response.logits[0] is Outputs.logits
    assert response.objectness is not None and response.objectness[0] is Outputs.centerness[0]
    assert response_of(Outputs(), TEACHER[:1]).features == TEACHER[:1]
