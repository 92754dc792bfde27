"""A network on a chip, in files that are read elsewhere.

>>> from lightloom import export
>>> export.save(model, Path("saved"))  # weights and hardware apart, in one folder
>>> again = export.load(Path("saved"), fresh)
>>> export.to_onnx(model, sample, Path("model.onnx"))
>>> export.netlist(core)  # a block as MZIs, for a circuit simulator
>>> export.pcm_levels(model, Path("levels"))
"""

from lightloom.export.formats import export, known_formats
from lightloom.export.loading import check, load, load_weights
from lightloom.export.mesh.netlist import netlist
from lightloom.export.mesh.netlist_files import write_netlists
from lightloom.export.mesh.phase_table import phase_table
from lightloom.export.onnx_file import to_onnx
from lightloom.export.pcm.levels import pcm_levels, read_pcm_levels
from lightloom.export.sample_io import Sample
from lightloom.export.saving import save
from lightloom.export.settings import read_settings, write_settings
from lightloom.export.technology import ExportModel, Format, Selection

__all__ = [
    "ExportModel",
    "Format",
    "Sample",
    "Selection",
    "check",
    "export",
    "known_formats",
    "load",
    "load_weights",
    "netlist",
    "pcm_levels",
    "phase_table",
    "read_pcm_levels",
    "read_settings",
    "save",
    "to_onnx",
    "write_netlists",
    "write_settings",
]
