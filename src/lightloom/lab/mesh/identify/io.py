"""A chip that is known, on disk: what was found and every measurement behind it, in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lightloom.chips import MeshChip
from lightloom.common.errors import RequestError
from lightloom.common.files import write_bytes
from lightloom.lab.mesh.identify.fit import Prior
from lightloom.lab.mesh.identify.measurements import Measurements, Repeatability
from lightloom.lab.mesh.identify.session import Identified, Suspect
from lightloom.lab.mesh.instrument import BlockSettings
from lightloom.lab.mesh.twin import DigitalTwin

_DEVICES = tuple(field.name for field in fields(DigitalTwin) if field.name != "chip")


def save_identified(identified: Identified, path: Path) -> None:
    """Write a known chip whole. Raises `WorkError` where the disk refuses.

    Args:
        identified: The chip.
        path: File to write.
    """
    settings, outputs = identified.measurements.stacked()
    tensors = {
        **{f"twin/{name}": getattr(identified.twin, name) for name in _DEVICES},
        **{f"std/{name}": getattr(identified.std, name) for name in _DEVICES},
        **{f"prior/{name}": tensor for name, tensor in identified.prior._asdict().items()},
        **{f"records/{name}": tensor for name, tensor in settings._asdict().items()},
        "records/outputs": outputs,
        "chi2": identified.chi2,
    }
    notes = {
        "readout": repr(identified.readout),
        "noise": repr(identified.noise),
        "repeatability": json.dumps(identified.repeatability),
        "suspects": json.dumps([suspect._asdict() for suspect in identified.suspects]),
    }
    write_bytes(path, save({name: t.contiguous() for name, t in sorted(tensors.items())}, metadata=notes))


def load_identified(path: Path, chip: MeshChip) -> Identified:
    """Read what `save_identified` wrote.

    Args:
        path: The file.
        chip: The design that it is a piece of.

    Raises:
        RequestError: The file is missing, cut short, or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no mapping
            notes = opened.metadata() or {}
        repeated = json.loads(notes.get("repeatability", "null"))  # files of earlier versions have none
        settings = [torch.unbind(tensors[f"records/{name}"]) for name in BlockSettings._fields]
        return Identified(
            twin=DigitalTwin(chip, *(tensors[f"twin/{name}"] for name in _DEVICES)),
            std=DigitalTwin(chip, *(tensors[f"std/{name}"] for name in _DEVICES)),
            prior=Prior(*(tensors[f"prior/{name}"] for name in Prior._fields)),
            readout=float(notes["readout"]),
            noise=float(notes["noise"]),
            repeatability=None if repeated is None else Repeatability(float(repeated[0]), int(repeated[1])),
            chi2=tensors["chi2"],
            suspects=tuple(Suspect(**suspect) for suspect in json.loads(notes["suspects"])),
            measurements=Measurements(
                [BlockSettings(*parts) for parts in zip(*settings, strict=True)],
                list(torch.unbind(tensors["records/outputs"])),
            ),
        )
    except (OSError, SafetensorError, KeyError, IndexError, ValueError, TypeError) as error:
        raise RequestError(f"`{path}` holds no known chip: {error}.") from None
