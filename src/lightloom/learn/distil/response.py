"""The response of a model to a batch: feature maps, class scores, boxes; read from outputs or layers.

A distillation compares two of these. It knows tensors alone, so one form serves images with one class, dense detectors
and maps of the ground plane.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from lightloom.common.errors import RequestError, nearest

_WORDS = {2: "[batch, width]", 4: "[batch, channels, height, width]"}


class Response(NamedTuple):
    """One model's view of a batch.

    Attributes:
        features: [B, C, h, w] per stage.
        logits: [B, K] once, or [B, K, ...] per level: class scores before softmax or sigmoid; classes are axis 1.
        boxes: [B, 4, ...] per level: distances from the position to left, top, right and bottom, at least 0.
        objectness: [B, 1, ...] per level: logit of an object (or its centre) being there.
    """

    features: tuple[Tensor, ...] = ()
    logits: tuple[Tensor, ...] | None = None
    boxes: tuple[Tensor, ...] | None = None
    objectness: tuple[Tensor, ...] | None = None


def response_of(outputs: Any, features: tuple[Tensor, ...] = ()) -> Response:
    """Read a model's outputs.

    Args:
        outputs: A tensor of logits, or anything with some of the attributes of `Response`; `centerness` counts as
            `objectness`.
        features: Maps of layers, in the place of those of the outputs.
    """
    if isinstance(outputs, Tensor):
        return Response(features, (outputs,))
    objectness = _levels(outputs, "objectness")
    return Response(
        features or _levels(outputs, "features") or (),
        _levels(outputs, "logits"),
        _levels(outputs, "boxes"),
        _levels(outputs, "centerness") if objectness is None else objectness,
    )


def _levels(outputs: Any, name: str) -> tuple[Tensor, ...] | None:
    levels = getattr(outputs, name, None)
    if levels is None:
        return None
    return (levels,) if isinstance(levels, Tensor) else tuple(levels)


@contextmanager
def features_of(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Watch named layers: the dictionary holds what each gave last, once the model ran inside the `with`.

    Outputs [B, C] count as maps of one position, [B, C, 1, 1].

    Args:
        model: Left as it was when the `with` ends.
        names: As in `model.named_modules()`.

    Raises:
        RequestError: There is no such layer, or it gives something else than a map.
    """
    modules = dict(model.named_modules())
    features: dict[str, Tensor] = {}

    def watch(name: str) -> Any:
        def store(module: nn.Module, inputs: Any, output: Any) -> None:
            features[name] = _as_map(output, name)

        return store

    with ExitStack() as hooks:
        for name in names:
            if name not in modules:
                raise RequestError(f"The model has no layer `{name}`. {nearest(name, modules)}")
            hooks.enter_context(modules[name].register_forward_hook(watch(name)))
        yield features


def _as_map(output: Any, name: str) -> Tensor:
    if isinstance(output, Tensor) and output.ndim in _WORDS:
        return output if output.ndim == 4 else output[:, :, None, None]
    output_form = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
    raise RequestError(
        f"Layer `{name}` gives {output_form}; features are {' or '.join(_WORDS.values())}. "
        "Name one that gives such a map."
    )


def check_heads(teacher: Response, student: Response, *, logits: bool, boxes: bool) -> None:
    """Make sure that what the terms of the heads compare is there, and alike.

    Args:
        teacher: Of some batch.
        student: Of the same batch.
        logits: Class scores are compared.
        boxes: Boxes are compared, where the teacher's class scores are high.

    Raises:
        RequestError: A model gives no such tensors, or the shapes of a level differ; it is named.
    """
    for name, is_compared in (("logits", logits or boxes), ("boxes", boxes)):
        if is_compared:
            _check_alike(name, getattr(teacher, name), getattr(student, name))
    if boxes:
        _check_positions("boxes", 4, teacher.boxes or (), teacher.logits or ())
    if (logits or boxes) and teacher.objectness is not None:
        _check_positions("objectness", 1, teacher.objectness, teacher.logits or ())


def _check_positions(name: str, width: int, levels: Sequence[Tensor], logits: Sequence[Tensor]) -> None:
    """Every level must be [B, width, ...] at the positions of the class scores."""
    expected = [(len(scores), width, *scores.shape[2:]) for scores in logits]
    shapes = [tuple(level.shape) for level in levels]
    if shapes != expected or any(len(shape) < 3 for shape in shapes):
        raise RequestError(
            f"The teacher's {name} are {shapes}, beside class scores {[tuple(scores.shape) for scores in logits]}; "
            f"each level is [batch, {width}, ...] at the positions of its class scores. "
            "Set the weights of such terms to 0."
        )


def _check_alike(name: str, teacher: tuple[Tensor, ...] | None, student: tuple[Tensor, ...] | None) -> None:
    for whose, levels in (("teacher", teacher), ("student", student)):
        if not levels:
            raise RequestError(f"The {whose} gives no {name} to compare; set the weights of such terms to 0.")
    assert teacher is not None and student is not None
    if len(teacher) != len(student):
        raise RequestError(
            f"The teacher gives {name} of {len(teacher)} levels, the student of {len(student)}; "
            "build both with the same levels, or set the weights of such terms to 0."
        )
    for level, (one, other) in enumerate(zip(teacher, student, strict=True)):
        if one.shape != other.shape:
            raise RequestError(
                f"Level {level} has {name} {tuple(one.shape)} in the teacher and {tuple(other.shape)} in the student; "
                "build both for the same classes and strides, or set the weights of such terms to 0."
            )
