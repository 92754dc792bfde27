"""Neural networks on photonic chips: tensor cores, optical layers, and the conversion of any model.

>>> from lightloom import chips, nn
>>> conversion = nn.convert(model, chips.preset("l2ight"))
>>> print(conversion)  # what happened to each layer, and why
>>> nn.install(conversion.model, chips.preset("l2ight").specimen(seed=0))
"""

from lightloom.nn.absorber import SaturableAbsorber
from lightloom.nn.all_optical import AllOptical, OpticalPass
from lightloom.nn.attention import Attention
from lightloom.nn.conversion_report import LayerReport
from lightloom.nn.convert import Conversion, convert, to_electronic
from lightloom.nn.converter import Converter, calibrate_ranges, static_converters
from lightloom.nn.convolutions import OpticalConv1d, OpticalConv2d
from lightloom.nn.core import Mode, TensorCore
from lightloom.nn.cores.mesh import MeshCore
from lightloom.nn.cores.pcm import PCMCore
from lightloom.nn.counts import Counts, counts_of
from lightloom.nn.deployment import put_on_chip
from lightloom.nn.diffractive import DiffractiveConv2d, DiffractiveNetwork, misalign
from lightloom.nn.effective import DirectRead, direct_reads
from lightloom.nn.hf_conv1d import OpticalHFConv1D
from lightloom.nn.install import install, switch
from lightloom.nn.layers import OpticalLayer, OpticalLinear, cores, optical_layers
from lightloom.nn.pcm_reorder import reorder
from lightloom.nn.plan import Plan, Planned, plan
from lightloom.nn.rules import Placement, Rule
from lightloom.nn.specimen_ensemble import SpecimenEnsemble
from lightloom.nn.subspace_core import SubspaceCore
from lightloom.nn.weight_constraints import constrain_weights

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
    "OpticalHFConv1D",
    "OpticalLayer",
    "OpticalLinear",
    "OpticalPass",
    "PCMCore",
    "Placement",
    "Plan",
    "Planned",
    "Rule",
    "SaturableAbsorber",
    "SpecimenEnsemble",
    "SubspaceCore",
    "TensorCore",
    "calibrate_ranges",
    "constrain_weights",
    "convert",
    "cores",
    "counts_of",
    "direct_reads",
    "install",
    "misalign",
    "optical_layers",
    "plan",
    "put_on_chip",
    "reorder",
    "static_converters",
    "switch",
    "to_electronic",
]
