"""The terms of a distillation, each a number that is 0 where the student equals the teacher.

Pure functions of tensors. `teacher` never needs a gradient; half precision is widened before anything is summed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_TINY = 1e-6


def feature_mse(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean square difference of features: mean over batch, channels and positions of (T - S)^2.

    Source: Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, with 1 x 1 adapters before it.

    Args:
        teacher: [B, C, h, w].
        student: [B, C, h, w], adapted.

    Raises:
        ValueError: The shapes differ.
    """
    teacher, student = paired(teacher, student)
    return (teacher - student).square().mean()


def attention_transfer(teacher: Tensor, student: Tensor, power: float = 2.0) -> Tensor:
    """Square distance of the attention maps, mean over the batch: ||q_T - q_S||^2, between 0 and 2.

    q = A / ||A||_2 with A = sum over channels of |F|^power, as a vector over positions. Squared, unlike the norm in the
    paper's formula, the distance has a gradient where the two agree.

    Source: Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017.

    Args:
        teacher: [B, C, h, w].
        student: [B, D, h, w]: as many positions, any number of channels.
        power: At least 1; larger looks more at the strongest channels.

    Raises:
        ValueError: Batch or positions differ.
    """
    one, other = paired(_attention(teacher, power), _attention(student, power))
    return (one - other).square().sum(1).mean()


def _attention(features: Tensor, power: float) -> Tensor:
    return F.normalize(_wide(features).abs().pow(power).sum(1).flatten(1), dim=1)


def channel_kl(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """Channel-wise distillation: each channel is a distribution over positions, and the two are compared.

    L = T^2 / (B C) x sum over images and channels of KL(p_T || p_S), p = softmax over positions of F / T. The KL form
    differs from the cross-entropy in use elsewhere by the teacher's entropy alone: the same gradient, and 0 at a match.

    Source: Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021.

    Args:
        teacher: [B, C, h, w].
        student: [B, C, h, w], adapted.
        temperature: T, above 0.

    Raises:
        ValueError: The shapes differ.
    """
    teacher, student = paired(teacher, student)
    return temperature**2 * _divergence(teacher.flatten(2), student.flatten(2), temperature).mean()


def logits_kl(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """Knowledge distillation of one class per image: T^2 x mean over the batch of KL(p_T || p_S), p = softmax(z / T).

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.

    Args:
        teacher: Logits [B, K].
        student: Logits [B, K].
        temperature: T, above 0; its square keeps the gradient at the size it has at T = 1.

    Raises:
        ValueError: The shapes differ.
    """
    teacher, student = paired(teacher, student)
    return temperature**2 * _divergence(teacher, student, temperature).mean()


def _divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """KL of the softmax over the last axis, [...]."""
    log_teacher, log_student = (F.log_softmax(x / temperature, dim=-1) for x in (teacher, student))
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(-1)


def dense_logits_kl(teacher: Tensor, student: Tensor, weight: Tensor, temperature: float = 1.0) -> Tensor:
    """Knowledge distillation of dense class scores at the positions that count.

    L = T^2 x sum_n w_n sum_k KL(Bernoulli(p_T,nk) || Bernoulli(p_S,nk)) / sum_n w_n, with p = sigmoid(z / T) and n over
    all images and positions. Exactly 0, with gradient 0, where no position counts.

    Args:
        teacher: Logits [B, K, N], of one sigmoid per class.
        student: Logits [B, K, N].
        weight: [B, 1, N], at least 0, as of `confidence`.
        temperature: T, above 0.

    Raises:
        ValueError: The shapes differ.
    """
    teacher, student = paired(teacher, student)
    soft = torch.sigmoid(teacher / temperature)
    # the cross-entropy less the teacher's own entropy, from the same function: its rounding cancels at a match
    crossed, own = (
        F.binary_cross_entropy_with_logits(x / temperature, soft, reduction="none") for x in (student, teacher)
    )
    return temperature**2 * _weighted((crossed - own).sum(1, keepdim=True), weight)


def confidence(logits: Tensor, objectness: Tensor | None = None, threshold: float = 0.0) -> Tensor:
    """How much each position counts: the teacher's best score there, 0 where it is not above the threshold.

    Args:
        logits: [B, K, N], of one sigmoid per class.
        objectness: Logits [B, 1, N]; where given, its probability is a factor of the score, as in ranking detections.
        threshold: Between 0 and 1.

    Returns:
        [B, 1, N], without a gradient.
    """
    score = _wide(logits.detach()).amax(1, keepdim=True).sigmoid()
    if objectness is not None:
        score = score * _wide(objectness.detach()).sigmoid()
    return torch.where(score > threshold, score, 0.0)


def boxes_iou(teacher: Tensor, student: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of 1 - GIoU of two boxes around the same position; 0 where no position counts, else 0 ... 2.

    GIoU = I / U - (C - U) / C, with the areas of intersection, union and the smallest box around both.

    Source: Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.

    Args:
        teacher: Distances [B, 4, N] from the position to left, top, right and bottom, at least 0, in any one unit.
        student: Distances [B, 4, N] in the same unit.
        weight: [B, 1, N], at least 0, as of `confidence`.

    Raises:
        ValueError: The shapes differ.
    """
    teacher, student = (x.clamp(min=0) for x in paired(teacher, student))
    shared = _area(torch.minimum(teacher, student))
    around = _area(torch.maximum(teacher, student))
    union = _area(teacher) + _area(student) - shared
    giou = (shared + _TINY) / (union + _TINY) - (around - union) / (around + _TINY)
    return _weighted(1 - giou, weight)


def _area(sides: Tensor) -> Tensor:
    """[B, 4, N] -> [B, 1, N]."""
    left, top, right, bottom = sides.unbind(1)
    return ((left + right) * (top + bottom))[:, None]


def _weighted(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=_TINY)


def paired(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in at least single precision.

    Args:
        teacher: [...].
        student: [...], of the same shape.

    Raises:
        ValueError: The shapes differ.
    """
    if teacher.shape != student.shape:
        raise ValueError(
            f"the teacher's tensor is {tuple(teacher.shape)}, the student's {tuple(student.shape)}; give equal shapes"
        )
    return _wide(teacher), _wide(student)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
