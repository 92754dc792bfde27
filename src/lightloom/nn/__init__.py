"""Neural networks on photonic chips: tensor cores, optical layers, and the conversion of any model.

>>> from lightloom import chips, nn
>>> conversion = nn.convert(model, chips.preset("l2ight"))
>>> nn.install(conversion.model, chips.preset("l2ight").specimen(seed=0))
"""

from lightloom.nn.absorber import SaturableAbsorber
from lightloom.nn.all_optical import AllOptical, OpticalPass
from lightloom.nn.convert import Conversion, LayerReport, convert, to_electronic
from lightloom.nn.core import Counts, Mode, TensorCore
from lightloom.nn.diffractive import DiffractiveConv2d, DiffractiveNetwork, misalign
from lightloom.nn.layers import OpticalConv2d, OpticalLayer, OpticalLinear, cores, install, optical_layers, switch
from lightloom.nn.limits import limit_weights
from lightloom.nn.mesh_core import MeshCore
from lightloom.nn.pcm_core import PCMCore
from lightloom.nn.reorder import reorder

__all__ = [
    "AllOptical",
    "Conversion",
    "Counts",
    "DiffractiveConv2d",
    "DiffractiveNetwork",
    "LayerReport",
    "MeshCore",
    "Mode",
    "OpticalConv2d",
    "OpticalLayer",
    "OpticalLinear",
    "OpticalPass",
    "PCMCore",
    "SaturableAbsorber",
    "TensorCore",
    "convert",
    "cores",
    "install",
    "limit_weights",
    "misalign",
    "optical_layers",
    "reorder",
    "switch",
    "to_electronic",
]
