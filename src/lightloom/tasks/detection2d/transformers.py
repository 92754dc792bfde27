"""Detectors of `transformers` that learn sets of boxes: RT-DETRv2, D-FINE and Deformable DETR.

Their backbones have stages, which `nn.backbones.replace_stages` makes optical as in any other.

Sources: Lv et al., "RT-DETRv2", 2024; Peng et al., "D-FINE", ICLR 2025; Zhu et al., "Deformable DETR", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError, nearest
from lightloom.nn.backbones.checkpoints import read_checkpoint, transformers
from lightloom.nn.backbones.trace import listening, stages_of, trace_stages
from lightloom.tasks.detection2d import detr_sizes
from lightloom.tasks.detection2d.base import IMAGENET_MEAN, IMAGENET_STD, DetectorBase
from lightloom.tasks.detection2d.boxes import Detections

Family = Literal["rt-detr-v2", "d-fine", "deformable-detr"]
Size = Literal["tiny", "published"]

_SAMPLE = (64, 64)


class _Kind(NamedTuple):
    """What is particular to a family."""

    model_type: str
    model: str
    tiny: Callable[[Any], Any]
    standardised: bool
    """Whether its published weights want images of mean 0 and deviation 1, or of 0 ... 1."""
    proposes: bool
    """Whether its queries start at the best places of the maps, of which there must be as many."""


_KINDS: dict[str, _Kind] = {
    "rt-detr-v2": _Kind("rt_detr_v2", "RTDetrV2ForObjectDetection", detr_sizes.rt_detr_v2, False, True),
    "d-fine": _Kind("d_fine", "DFineForObjectDetection", detr_sizes.d_fine, False, True),
    "deformable-detr": _Kind(
        "deformable_detr", "DeformableDetrForObjectDetection", detr_sizes.deformable_detr, True, False
    ),
}


class SetOutput(NamedTuple):
    """What such a detector makes of a batch."""

    loss: Tensor | None
    """All losses of the family, weighted and summed, where there were targets."""
    features: tuple[Tensor, ...]
    """Maps of the backbone's stages [B, channels, h, w]."""
    query_logits: Tensor
    """Class logits of the queries [B, queries, C]. Queries of two detectors do not answer to each other, so these are
    under a name that distillation does not compare."""
    query_boxes: Tensor
    """Centre and size as shares of the frame [B, queries, 4]."""


class TransformersDetector(DetectorBase):
    """One detector of `transformers`, behind the interface of ours.

    Args:
        model: A model for object detection.
        family: That it is of.
    """

    takes_targets = True

    def __init__(self, model: nn.Module, family: Family) -> None:
        kind = _KINDS[family]
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if kind.standardised else ((0.0,) * 3, (1.0,) * 3)
        super().__init__(mean, std)
        self.model, self._kind = model, kind
        self.classes: int = self._config.num_labels
        self.register_state_dict_post_hook(_untie)  # type: ignore[no-untyped-call]

    @property
    def backbone(self) -> nn.Module:
        """Its backbone, in which `replace_stages` puts optical stages."""
        return self.model.get_submodule("model.backbone.model")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the map of each stage of the backbone, found by running it."""
        return tuple(trace.output[1] for trace in trace_stages(self.backbone, _SAMPLE))

    def forward(self, images: Tensor, targets: Tensor | None = None) -> SetOutput:
        """What there is in the images, and how wrong that is.

        Args:
            images: [B, 3, H, W], uint8 or 0 ... 1.
            targets: (x0, y0, x1, y1, label) in pixels [B, most, 5]; label -1 where there is no object.

        Raises:
            RequestError: The images are too small to have as many places as there are queries.
        """
        frame = (int(images.shape[-2]), int(images.shape[-1]))
        self._check(frame)
        labels = None if targets is None else _labels(targets, frame)
        with listening(stages_of(self.backbone)) as stage_outputs:
            output = self.model(self.standardise(images), labels=labels)
        # while training, queries made of noisy targets come before the others
        logits, boxes = (part[:, -self._config.num_queries :] for part in (output.logits, output.pred_boxes))
        return SetOutput(output.loss, tuple(output for _, output in stage_outputs), logits, boxes)

    @property
    def head_modules(self) -> tuple[str, ...]:
        """Names of the parts behind the backbone."""
        inner = {f"model.model.{name}" for name, _ in self.model.get_submodule("model").named_children()}
        outer = {f"model.{name}" for name, _ in self.model.named_children()}
        return tuple(sorted((inner | outer) - {"model.model", "model.model.backbone"}))

    def loss(self, output: SetOutput, targets: Tensor) -> Tensor:
        """The loss that the forward pass with these targets has returned.

        Args:
            output: Output of `forward`.
            targets: The targets that `forward` was called with.

        Raises:
            ValueError: It had none.
        """
        if output.loss is None:
            raise ValueError("the forward pass had no targets, so there is no loss; hand them over as well")
        return output.loss

    @torch.no_grad()
    def detect(
        self, output: SetOutput, frame: tuple[int, int], threshold: float = 0.0, most: int = 100
    ) -> list[Detections]:
        """Objects in each image of a batch; a set needs no suppression.

        Args:
            output: Of `forward`.
            frame: Height and width of the images in pixels; boxes are cut there.
            threshold: Least score.
            most: Objects in an image.
        """
        height, width = frame
        edges = torch.tensor([width, height, width, height], device=output.query_boxes.device)
        centre, size = torch.split(output.query_boxes.float(), 2, -1)
        boxes = torch.cat((centre - size / 2, centre + size / 2), -1).clamp(0, 1) * edges
        detections = []
        for image, logits in enumerate(output.query_logits.float()):
            scores, places = logits.sigmoid().flatten().topk(min(most, logits.numel()))
            query, label = places // logits.shape[-1], places % logits.shape[-1]
            detections.append(Detections(boxes[image, query], scores, label).above(threshold))
        return detections

    @property
    def _config(self) -> Any:
        return self.model.config

    def _check(self, frame: tuple[int, int]) -> None:
        if not self._kind.proposes:
            return
        places = sum(-(-frame[0] // stride) * -(-frame[1] // stride) for stride in self._config.feat_strides)
        if places < self._config.num_queries:
            raise RequestError(
                f"Images of {frame[0]} x {frame[1]} have {places} places for {self._config.num_queries} queries; give "
                "larger images, or a smaller detector."
            )


def build_transformers_detector(
    family: Family, classes: int, *, size: Size = "tiny", pretrained: str | None = None, rehead: bool = False
) -> TransformersDetector:
    """A detector of `transformers`, new or pretrained.

    A new one trains all of its backbone. A pretrained one keeps what its family keeps: batch norm as it is, and the
    stem and the first stage of Deformable DETR.

    Args:
        family: "rt-detr-v2", "d-fine" or "deformable-detr".
        classes: How many there are to tell apart.
        size: Of a new one: "published", or a "tiny" one of about a million weights.
        pretrained: A folder or a name on the hub; only safetensors are read. Its sizes are what the checkpoint says.
        rehead: Whether a checkpoint of other classes gets new layers for them; otherwise it is refused.

    Raises:
        RequestError: `transformers` is not there, there is no such family or size, or the checkpoint cannot be read, is
            of another family or of other classes.
    """
    if family not in _KINDS:
        raise RequestError(f"There is no detector `{family}`. {nearest(family, _KINDS)}")
    if size not in get_args(Size):
        raise RequestError(f"There is no size `{size}`; give `tiny` or `published`.")
    if pretrained is None:
        model = _new(_KINDS[family], classes, size)
    else:
        model = _load(_KINDS[family], classes, pretrained, rehead)
    return TransformersDetector(model, family)


def _new(kind: _Kind, classes: int, size: Size) -> Any:
    library = transformers()
    config = kind.tiny(library) if size == "tiny" else detr_sizes.published(library, kind.model_type)
    config.num_labels = classes
    model = getattr(library, kind.model)(config)
    detr_sizes.start(library, model)
    return model


def _load(kind: _Kind, classes: int, pretrained: str, rehead: bool) -> Any:
    library = transformers()
    config = read_checkpoint(library.AutoConfig, pretrained)
    if config.model_type != kind.model_type:
        raise RequestError(
            f"`{pretrained}` holds a `{config.model_type}`, not a `{kind.model_type}`; name its own family."
        )
    if config.num_labels != classes and not rehead:
        raise RequestError(
            f"`{pretrained}` tells {config.num_labels} classes apart and {classes} are asked for; ask for as many, or "
            "set `rehead` to give it new layers for them."
        )
    config.num_labels = classes
    if kind.proposes:
        config.anchor_image_size = config.eval_size = None  # images of one size alone would fit otherwise
    model, info = read_checkpoint(
        getattr(library, kind.model),
        pretrained,
        config=config,
        use_safetensors=True,
        ignore_mismatched_sizes=rehead,
        output_loading_info=True,
    )
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise RequestError(f"`{pretrained}` lacks {len(missing)} of the weights of a detector, such as `{missing[0]}`.")
    if kind.model_type == "deformable_detr":
        # `transformers` looks for `stage.1` in names that have `stages.1`, and so trains none of them
        stages_of(model.model.backbone.model)[1:].requires_grad_(True)
    return model


def _labels(targets: Tensor, frame: tuple[int, int]) -> list[dict[str, Tensor]]:
    """Targets as `transformers` takes them: centre and size as shares of the frame, without padding."""
    height, width = frame
    edges = targets.new_tensor([width, height])
    labels = []
    for rows in targets:
        near, far, label = rows[rows[:, 4] >= 0].split((2, 2, 1), 1)
        boxes = torch.cat(((near + far) / 2 / edges, (far - near) / edges), 1)
        labels.append({"class_labels": label[:, 0].long(), "boxes": boxes})
    return labels


def _untie(_: nn.Module, state: dict[str, Any], prefix: str, __: Any) -> None:
    """Weights that two layers share are saved twice: safetensors has no way to say that they are one."""
    pointers: set[int] = set()
    for key, value in state.items():
        if key.startswith(prefix) and isinstance(value, Tensor) and value.numel():
            if value.data_ptr() in pointers:
                state[key] = value.clone()
            pointers.add(value.data_ptr())
