"""HeatmapDistiller: the student's BEV map learns the teacher's where true objects are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.data.multicamera import BEVRange, Views
from lightloom.learn.distil import gaussian_heatmap, masked_kl, masked_l2
from lightloom.tasks.detection3d.detector import Detector3DOutput
from lightloom.tasks.detection3d.distillers.bev_adapters import UpsamplingAdapter
from lightloom.tasks.detection3d.distillers.config import HeatmapConfig


class HeatmapDistiller(nn.Module):
    """The distance of the teacher's BEV map from the student's, restored to its cells, under a Gaussian mask.

    The mask is drawn on cells of its own and brought to those of the map by the nearest, as published.

    Source: HeatmapDistiller, in the code of FocalDistiller (Zeng et al., CVPR 2023).

    Args:
        teacher: A BEV map [B, C, H, W]; its shape alone matters.
        student: A BEV map [B, D, h, w].
        area: (x0, y0, z0, x1, y1, z1) in metres that both cover.
        config: Weight, form, mask.
    """

    def __init__(self, teacher: Tensor, student: Tensor, area: BEVRange, config: HeatmapConfig) -> None:
        super().__init__()
        self.area, self.config = area, config
        self.restore = UpsamplingAdapter(student, teacher)
        self.cells = tuple(max(round((area[axis + 3] - area[axis]) / config.cell), 1) for axis in (1, 0))

    def forward(
        self, teacher: Detector3DOutput, student: Detector3DOutput, views: Views, targets: Tensor
    ) -> dict[str, Tensor]:
        """`heatmap`, weighted.

        Args:
            teacher: The teacher's outputs.
            student: The student's outputs.
            views: Inputs of the student, which this distiller has no use for.
            targets: (x, y, z, w, l, h, yaw, vx, vy, label) [B, most, 10], label -1 where there is no object.
        """
        assert teacher.bev is not None and student.bev is not None
        target = _standard(teacher.bev) if self.config.normalise else teacher.bev
        mask = self.mask(targets, (target.shape[2], target.shape[3]))
        restored = self.restore(student.bev)
        if self.config.form == "l2":
            term = masked_l2(target, restored, mask)
        else:
            term = masked_kl(target, restored, mask, self.config.temperature)
        return {"heatmap": self.config.weight * term}

    def mask(self, targets: Tensor, shape: tuple[int, int]) -> Tensor:
        """Mask of the true objects on a map of this shape [B, 1, rows, columns].

        Args:
            targets: Padded boxes [B, most, 10], label -1 where there is none.
            shape: Rows and columns of the BEV map.
        """
        rows, columns = self.cells
        heat = gaussian_heatmap(targets, self.area, (rows, columns), self.config.overlap, self.config.least)
        return F.interpolate(heat, shape, mode="nearest")


def _standard(teacher: Tensor) -> Tensor:
    """Each channel with mean 0 and variance 1 over the batch."""
    return F.batch_norm(teacher, None, None, training=True)
