"""Readers and embedded sets; every reader checks what it reads."""

from lightloom.data.augment import crop_and_flip, on_images
from lightloom.data.batches import Batch, Batches, Indexed, Samples
from lightloom.data.dataset_info import DATASETS, DatasetInfo, describe
from lightloom.data.idx import read_idx, read_images, read_labelled, read_labels
from lightloom.data.sets import load
from lightloom.data.splits import ImageSet, Splits, standardise

__all__ = [
    "DATASETS",
    "Batch",
    "Batches",
    "DatasetInfo",
    "ImageSet",
    "Indexed",
    "Samples",
    "Splits",
    "crop_and_flip",
    "describe",
    "load",
    "on_images",
    "read_idx",
    "read_images",
    "read_labelled",
    "read_labels",
    "standardise",
]
