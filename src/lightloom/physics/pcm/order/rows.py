"""Which rows of a matrix share an array, so that one order of columns suits them all.

The columns of an array are d_ab = sum_i |s_ia - s_ib| apart, summed over its rows. A short path gains on an arbitrary
one by what its steps lie below the mean distance, so it gains where distances spread widely, and their variance is
the sum of the covariances of all pairs of rows in the array. Rows that change together, or oppositely, belong
together; rows that hardly change, such as zeros and empty ones, are best shared out, since a few changing rows are
ordered far better than many. Both follow from one number: the sum of the arrays' standard deviations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightloom.physics.pcm.order.paths import path
from lightloom.physics.pcm.schedule import Schedule

_SWEEPS = 20
_FINE = 10000  # unlikeness of rows in whole numbers, for the path through them


def group_rows(levels: Tensor, schedule: Schedule, *, groups: int = 1, samples: int = 4096, seed: int = 0) -> Schedule:
    """Put rows that are alike into one array.

    Starts from the rows as they are, and from a path that goes from row to similar row, cut into arrays; exchanges two
    rows as long as that helps; and keeps what is best, by `spread`. A row stays within its group.

    Args:
        levels: int8 [groups * rows, columns], signed.
        schedule: A schedule of this matrix; its columns are kept.
        groups: Of the layer.
        samples: Pairs of columns that stand for all of them.
        seed: Draws the pairs.

    Returns:
        A schedule with other rows in its arrays; those that work for nothing are the last of each array,
        and no longer all in the last one.

    Raises:
        TypeError: The levels are not int8.
        ValueError: The arrays cannot be shared out among the groups.
    """
    if levels.dtype != torch.int8:
        raise TypeError(f"Levels are int8, not {levels.dtype}: make them with `levels.to_levels`.")
    arrays, size = schedule.rows.shape
    if arrays % groups:
        raise ValueError(f"{arrays} arrays cannot be shared out among {groups} groups.")
    groups_of_rows = [
        _regroup(rows, covariance(levels, rows, samples, seed), size) for rows in schedule.rows.view(groups, -1)
    ]
    return Schedule(torch.cat(groups_of_rows).view(arrays, size), schedule.columns)


def covariance(levels: Tensor, rows: Tensor, samples: int, seed: int) -> Tensor:
    """Covariance of |s_ia - s_ib| over pairs of columns (a, b), between the rows i named.

    Args:
        levels: int8 [any, columns].
        rows: int32 [N]; -1 counts as a row of zeros.
        samples: Pairs that are drawn.
        seed: Draws them.

    Returns:
        float64 [N, N].
    """
    columns = levels.shape[1]
    draw = torch.Generator().manual_seed(seed)
    one = torch.randint(columns, (samples,), generator=draw)
    other = (one + 1 + torch.randint(max(1, columns - 1), (samples,), generator=draw)) % columns
    cells = torch.where(rows[:, None] >= 0, levels[rows.clamp(min=0).long()], 0).float()
    apart = (cells[:, one.to(cells.device)] - cells[:, other.to(cells.device)]).abs()
    apart -= apart.mean(1, keepdim=True)
    return (apart @ apart.T).double() / samples


def spread(covariance: Tensor, arrays: Tensor) -> float:
    """Sum over the arrays of the standard deviation of their column distances.

    Args:
        covariance: [N, N] of the rows.
        arrays: int64 [N]: the array of each.
    """
    member = torch.nn.functional.one_hot(arrays).double()
    return float((member * (covariance @ member)).sum(0).clamp(min=0).sqrt().sum())


def _regroup(rows: Tensor, covariance: Tensor, size: int) -> Tensor:
    """Rows [P k] of one group, array by array, rising in each and empty ones last."""
    home = torch.arange(len(rows), device=rows.device) // size
    if len(rows) == size:
        return rows
    scale = covariance.diagonal().sqrt().clamp(min=1e-12)
    unlike = (_FINE * (1 - covariance / scale / scale[:, None])).clamp(min=0).round().int()
    tour = path(((unlike + unlike.T) // 2)[None])[0].long()
    cut = torch.empty_like(home).scatter(0, tour, home)
    natural = spread(covariance, home)
    candidates = [_exchange(covariance, begun) for begun in (home, cut)]
    best = max(candidates, key=lambda arrays: spread(covariance, arrays))
    if spread(covariance, best) <= natural:
        return rows
    last = torch.where(rows >= 0, rows, rows.max() + 1)
    by_row = last.argsort(stable=True)
    return rows[by_row[best[by_row].argsort(stable=True)]]


def _exchange(covariance: Tensor, arrays: Tensor) -> Tensor:
    """Exchanges pairs of rows between arrays as long as the spread grows."""
    arrays = arrays.clone()
    own = covariance.diagonal()
    pull = covariance @ torch.nn.functional.one_hot(arrays).double()  # of each array on each row
    variance = torch.stack([pull[arrays == a, a].sum() for a in range(pull.shape[1])])
    least = 1e-9 * float(variance.clamp(min=0).sqrt().sum())
    every = torch.arange(len(arrays), device=arrays.device)
    for _ in range(_SWEEPS):
        moved = False
        for i in range(len(arrays)):
            a, b = arrays[i], arrays
            both = own[i] + own - 2 * covariance[i]
            here = variance[a] + 2 * (pull[:, a] - pull[i, a]) + both
            there = variance[b] + 2 * (pull[i, b] - pull[every, b]) + both
            gain = _root(here) + _root(there) - _root(variance[a]) - _root(variance[b])
            gain[arrays == a] = 0
            j = int(gain.argmax())
            if gain[j] <= least:
                continue
            moved, c = True, arrays[j].clone()
            variance[a], variance[c] = here[j], there[j]
            step = covariance[:, j] - covariance[:, i]
            pull[:, a] += step
            pull[:, c] -= step
            arrays[i], arrays[j] = c, a.clone()
        if not moved:
            break
    return arrays


def _root(variance: Tensor) -> Tensor:
    return variance.clamp(min=0).sqrt()
