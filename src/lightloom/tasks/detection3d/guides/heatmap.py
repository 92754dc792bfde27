"""HeatmapDistiller: the student's map of the ground learns the teacher's where true objects are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.data.multicamera import Views
from lightloom.learn.distil import gaussian_heatmap, masked_kl, masked_l2
from lightloom.tasks.detection3d.detector import Detector3DOutput
from lightloom.tasks.detection3d.guides.config import HeatmapConfig
from lightloom.tasks.detection3d.guides.restore import Restore

Area = tuple[float, float, float, float, float, float]


class HeatmapGuide(nn.Module):
    """The distance of the teacher's ground map from the student's, restored to its cells, under a Gaussian mask.

    The mask is drawn on cells of its own and brought to those of the map by the nearest, as published.

    Source: HeatmapDistiller, in the code of FocalDistiller (Zeng et al., CVPR 2023).

    Args:
        teacher: A ground map [B, C, H, W]; its shape alone matters.
        student: A ground map [B, D, h, w].
        area: (x0, y0, z0, x1, y1, z1) in metres that both cover.
        config: Weight, form, mask.
    """

    def __init__(self, teacher: Tensor, student: Tensor, area: Area, config: HeatmapConfig) -> None:
        super().__init__()
        self.area, self.config = area, config
        self.restore = Restore(student, teacher)
        self.cells = tuple(max(round((area[axis + 3] - area[axis]) / config.cell), 1) for axis in (1, 0))

    def forward(
        self, known: Detector3DOutput, learned: Detector3DOutput, views: Views, targets: Tensor
    ) -> dict[str, Tensor]:
        """`heatmap`, weighted.

        Args:
            known: The teacher's outputs.
            learned: The student's outputs.
            views: Not looked at.
            targets: (x, y, z, w, l, h, yaw, vx, vy, label) [B, most, 10], label -1 where there is no object.
        """
        assert known.ground is not None and learned.ground is not None
        teacher = _standard(known.ground) if self.config.normalise else known.ground
        mask = self.mask(targets, (teacher.shape[2], teacher.shape[3]))
        student = self.restore(learned.ground)
        if self.config.form == "l2":
            term = masked_l2(teacher, student, mask)
        else:
            term = masked_kl(teacher, student, mask, self.config.temperature)
        return {"heatmap": self.config.weight * term}

    def mask(self, targets: Tensor, shape: tuple[int, int]) -> Tensor:
        """Where true objects are on a map of this shape [B, 1, rows, columns]."""
        rows, columns = self.cells
        heat = gaussian_heatmap(targets, self.area, (rows, columns), self.config.overlap, self.config.least)
        return F.interpolate(heat, shape, mode="nearest")


def _standard(teacher: Tensor) -> Tensor:
    """Each channel with mean 0 and variance 1 over the batch."""
    return F.batch_norm(teacher, None, None, training=True)
