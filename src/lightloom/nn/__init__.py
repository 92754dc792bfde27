"""Neural networks on photonic chips: tensor cores, optical layers, and the conversion of any model.

>>> from lightloom import chips, nn
>>> conversion = nn.convert(model, chips.preset("l2ight"))
>>> nn.install(conversion.model, chips.preset("l2ight").specimen(seed=0))
"""

from lightloom.nn.convert import Conversion, LayerReport, convert, to_electronic
from lightloom.nn.core import Counts, Mode, TensorCore
from lightloom.nn.layers import OpticalConv2d, OpticalLayer, OpticalLinear, cores, install, optical_layers, switch
from lightloom.nn.mesh_core import MeshCore
from lightloom.nn.pcm_core import PCMCore
from lightloom.nn.reorder import reorder

__all__ = [
    "Conversion",
    "Counts",
    "LayerReport",
    "MeshCore",
    "Mode",
    "OpticalConv2d",
    "OpticalLayer",
    "OpticalLinear",
    "PCMCore",
    "TensorCore",
    "convert",
    "cores",
    "install",
    "optical_layers",
    "reorder",
    "switch",
    "to_electronic",
]
