"""Neural networks on photonic chips: tensor cores, optical layers, and the conversion of any model.

>>> from lightloom import chips, nn
>>> conversion = nn.convert(model, chips.preset("l2ight"))
>>> print(conversion)  # what happened to each layer, and why
>>> nn.install(conversion.model, chips.preset("l2ight").specimen(seed=0))
"""

from lightloom.nn.absorber import SaturableAbsorber
from lightloom.nn.all_optical import AllOptical, OpticalPass
from lightloom.nn.attention import Attention
from lightloom.nn.convert import Conversion, LayerReport, convert, to_electronic
from lightloom.nn.converter import Converter, calibrate_ranges, static_converters
from lightloom.nn.convolutions import OpticalConv1d, OpticalConv2d
from lightloom.nn.core import Mode, TensorCore
from lightloom.nn.cores.mesh import MeshCore
from lightloom.nn.cores.pcm import PCMCore
from lightloom.nn.counts import Counts, counts_of
from lightloom.nn.deployment import put_on_chip
from lightloom.nn.diffractive import DiffractiveConv2d, DiffractiveNetwork, misalign
from lightloom.nn.effective import DirectRead, direct_reads
from lightloom.nn.install import install, switch
from lightloom.nn.layers import OpticalLayer, OpticalLinear, cores, optical_layers
from lightloom.nn.limits import limit_weights
from lightloom.nn.plan import Plan, Planned, plan
from lightloom.nn.population import Population
from lightloom.nn.projections import OpticalProjection
from lightloom.nn.reorder import reorder
from lightloom.nn.rules import Places, Rule
from lightloom.nn.subspace_core import SubspaceCore

__all__ = [
    "AllOptical",
    "Attention",
    "Conversion",
    "Converter",
    "Counts",
    "DiffractiveConv2d",
    "DiffractiveNetwork",
    "DirectRead",
    "LayerReport",
    "MeshCore",
    "Mode",
    "OpticalConv1d",
    "OpticalConv2d",
    "OpticalLayer",
    "OpticalLinear",
    "OpticalPass",
    "OpticalProjection",
    "PCMCore",
    "Places",
    "Plan",
    "Planned",
    "Population",
    "Rule",
    "SaturableAbsorber",
    "SubspaceCore",
    "TensorCore",
    "calibrate_ranges",
    "convert",
    "cores",
    "counts_of",
    "direct_reads",
    "install",
    "limit_weights",
    "misalign",
    "optical_layers",
    "plan",
    "put_on_chip",
    "reorder",
    "static_converters",
    "switch",
    "to_electronic",
]
