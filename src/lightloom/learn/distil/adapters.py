"""Which stage of the student learns from which of the teacher, and what makes the two comparable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError


class Pair(NamedTuple):
    """A stage of the student and the one of the teacher that it learns from, both counted from 0."""

    student: int
    teacher: int


class Stage(NamedTuple):
    """Maps of one pair.

    Attributes:
        pair: Which stages.
        teacher: [B, C, h, w].
        student: [B, D, h, w]: the student's own map, resized to the teacher's positions.
        adapted: [B, C, h, w]: the same in the teacher's width; None where no term asks for it.
    """

    pair: Pair
    teacher: Tensor
    student: Tensor
    adapted: Tensor | None


class Adapters(nn.Module):
    """One 1 x 1 convolution with bias per pair of stages, from the student's width to the teacher's.

    As published, a stage whose width is the teacher's already has one too: the student may then learn the teacher's
    features up to a change of basis. Where both sides of a map differ by one ratio, the student's is resized: bilinear
    to a finer grid, averaged to a coarser one.

    Source: the stage-wise distillation of hybrid opto-electronic detectors (PHOENIX, 2025).

    Args:
        teacher: Features of one batch; their shapes alone matter.
        student: Features of the same batch.
        stages: Stages of the student that learn; None takes all that have a partner.
        adapt: False makes no convolutions, as where only attention is compared.

    Raises:
        RequestError: Stages do not match; the first such stage is named with both shapes.
    """

    def __init__(
        self,
        teacher: Sequence[Tensor],
        student: Sequence[Tensor],
        stages: Sequence[int] | None = None,
        *,
        adapt: bool = True,
    ) -> None:
        super().__init__()
        self.pairs = match(teacher, student, stages)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(student[pair.student].shape[1], teacher[pair.teacher].shape[1], 1) for pair in self.pairs if adapt
        )

    def forward(self, teacher: Sequence[Tensor], student: Sequence[Tensor]) -> tuple[Stage, ...]:
        """The maps of every pair, comparable.

        Args:
            teacher: Features of the teacher, of one batch.
            student: Features of the student, of the same batch.
        """
        return tuple(
            self._stage(index, pair, teacher[pair.teacher], student[pair.student])
            for index, pair in enumerate(self.pairs)
        )

    def _stage(self, index: int, pair: Pair, teacher: Tensor, student: Tensor) -> Stage:
        resized = resize(student, (teacher.shape[2], teacher.shape[3]))
        adapted = self.convolutions[index](resized) if len(self.convolutions) else None
        return Stage(pair, teacher, resized, adapted)


def match(
    teacher: Sequence[Tensor], student: Sequence[Tensor], stages: Sequence[int] | None = None
) -> tuple[Pair, ...]:
    """Find the partner of every stage.

    As many stages on both sides are partners in their order. Else partners are those of one height and width, which
    must be the only ones.

    Args:
        teacher: Features [B, C, h, w].
        student: Features [B, D, h, w] of the same batch.
        stages: Stages of the student that learn; None takes all that have a partner.

    Raises:
        RequestError: A stage is not there, is no map, has no partner or several, or differs from it by two ratios.
    """
    _check_maps("teacher", teacher)
    _check_maps("student", student)
    missing = [number for number in stages or () if number >= len(student)]
    if missing:
        raise RequestError(
            f"`stages` names stage {missing[0]}, and the student has the stages 0 ... {len(student) - 1}: "
            f"{_sizes(student)}."
        )
    if len(teacher) == len(student):
        pairs = tuple(Pair(number, number) for number in (range(len(student)) if stages is None else stages))
    else:
        pairs = _match_sizes(teacher, student, stages)
    for pair in pairs:
        _check_ratio(pair, teacher[pair.teacher], student[pair.student])
    return pairs


def _check_maps(whose: str, features: Sequence[Tensor]) -> None:
    if not features:
        raise RequestError(
            f"The {whose} gives no features to compare; name the layers that give them, or set the weights of "
            "`features`, `attention` and `channels` to 0."
        )
    for number, feature in enumerate(features):
        if feature.ndim != 4:
            raise RequestError(
                f"Stage {number} of the {whose} is {tuple(feature.shape)}; features are maps "
                "[batch, channels, height, width]."
            )


def _match_sizes(
    teacher: Sequence[Tensor], student: Sequence[Tensor], stages: Sequence[int] | None
) -> tuple[Pair, ...]:
    """Partners by height and width; every stage that must have one has exactly one."""
    if stages is None and len(teacher) < len(student):
        return tuple(Pair(_only("teacher", n, teacher, "student", student), n) for n in range(len(teacher)))
    numbers = range(len(student)) if stages is None else stages
    return tuple(Pair(n, _only("student", n, student, "teacher", teacher)) for n in numbers)


def _only(whose: str, number: int, features: Sequence[Tensor], others: str, candidates: Sequence[Tensor]) -> int:
    """The stage of `candidates` that has the size of stage `number`."""
    size = features[number].shape[2:]
    partners = [index for index, feature in enumerate(candidates) if feature.shape[2:] == size]
    if len(partners) != 1:
        which = f"has no partner of {_size(features[number])}" if not partners else f"has the partners {partners}"
        raise RequestError(
            f"Stage {number} of the {whose} {which} among the {others}'s {len(candidates)} stages "
            f"{_sizes(candidates)}; "
            f"the {whose} has {len(features)}: {_sizes(features)}. Name as many stages of both, in their order."
        )
    return partners[0]


def _check_ratio(pair: Pair, teacher: Tensor, student: Tensor) -> None:
    """Refuse maps of two shapes: a ratio is one for both sides where it misses by less than a pixel of the coarser."""
    coarse, fine = sorted((teacher.shape[2:], student.shape[2:]), key=lambda size: size[0] * size[1])
    longest = max((0, 1), key=lambda side: fine[side])
    ratio = fine[longest] / coarse[longest]
    if any(abs(fine[side] / ratio - coarse[side]) >= 1 for side in (0, 1)):
        raise RequestError(
            f"Stage {pair.student} of the student is {tuple(student.shape)} and stage {pair.teacher} of the teacher is "
            f"{tuple(teacher.shape)}: {_size(student)} and {_size(teacher)} positions are no one ratio apart. "
            "Give both images of one form, or leave the stage out with `stages`."
        )


def resize(features: Tensor, size: tuple[int, int]) -> Tensor:
    """A map at other positions; a coarser one averages all that it covers.

    Args:
        features: [B, C, h, w].
        size: New height and width.
    """
    if features.shape[2:] == size:
        return features
    if size[0] * size[1] < features.shape[2] * features.shape[3]:
        return F.adaptive_avg_pool2d(features, size)
    return F.interpolate(features, size, mode="bilinear")


def _size(feature: Tensor) -> str:
    return f"{feature.shape[2]} x {feature.shape[3]}"


def _sizes(features: Sequence[Tensor]) -> str:
    return "(" + ", ".join(_size(feature) for feature in features) + ")"
