"""Chip calls that learning in the subspace takes."""

from __future__ import annotations

from collections.abc import Sequence

from lightloom.cost.trace import LayerUse


def learning_calls(uses: Sequence[LayerUse], images: int) -> dict[str, int]:
    """Calls of dense subspace learning on `images` training images (all epochs together).

    Per layer and image, after L2ight: forward one evaluation per input vector; the gradient of sigma two, V x forwards
    and U^T dy backwards, since intermediate light cannot be kept; error feedback W^T dy one, save at the first layer,
    behind which nothing trains. A call carries k vectors.
    """
    forward = sum(use.counts.calls for use in uses)
    first = uses[0].counts.calls if uses else 0
    calls = {"forward": forward, "sigma_gradient": 2 * forward, "error_feedback": forward - first}
    calls = {name: count * images for name, count in calls.items()}
    return {**calls, "chip_calls": sum(calls.values())}
