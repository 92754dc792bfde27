"""Named meshes. Each value has its source in the docstring of its field or beside it here."""

from __future__ import annotations

from lightloom.chips.constants import derived, reported
from lightloom.chips.mesh.chip import MeshChip
from lightloom.chips.mesh.devices import MeshDevices

_HARRIS = "Harris et al., Opt. Express 22, 10487 (2014), arXiv:1410.3616"
_HARRIS_DOI = "10.1364/OE.22.010487"
_NOEMS = "Microsyst. Nanoeng. (2023), doi:10.1038/s41378-023-00498-z"
_NOEMS_DOI = "10.1038/s41378-023-00498-z"
_LT = "Lightening-Transformer (HPCA 2024), device_params/default.yaml"
_LT_DOI = "10.48550/arXiv.2305.19533"

_THERMO_OPTIC_DEVICES = MeshDevices(
    shifter_power=reported(24.77e-3, "W", f"{_HARRIS}: 24.77 mW for a phase of pi", doi=_HARRIS_DOI),
    shifter_time=derived(
        2.7e-6, "s", f"{_HARRIS}: 130 kHz; derived: 0.35 / bandwidth", doi=_HARRIS_DOI, confidence="A"
    ),
    mzi_loss=derived(
        0.89, "dB", f"derived: shifter 0.23 dB ({_HARRIS}) and two couplers of 0.33 dB ({_LT})", doi=_HARRIS_DOI
    ),
    mzi_area=reported(
        120e-6 * 100e-6,
        "m^2",
        "SCATTER (ICCAD 2024), arch_config.yaml: 120 x 100 um",
        doi="10.48550/arXiv.2407.05510",
        confidence="B",
    ),
)

_NOEMS_DEVICES = MeshDevices(
    shifter_power=derived(1e-9, "W", f"{_NOEMS}: electrostatic, nW; assumed: 1 nW", doi=_NOEMS_DOI),
    shifter_time=reported(2e-6, "s", f"{_LT}, after {_NOEMS}", doi=_NOEMS_DOI, confidence="B"),
    mzi_loss=derived(0.99, "dB", f"{_LT}: two couplers and one shifter of 0.33 dB each ({_NOEMS})", doi=_LT_DOI),
    mzi_area=reported(180e-6 * 100e-6, "m^2", f"{_LT}: MZI of 180 x 100 um", doi=_LT_DOI, confidence="B"),
)

_L2IGHT = MeshChip(name="l2ight", devices=_THERMO_OPTIC_DEVICES)

MESH_PRESETS: dict[str, MeshChip] = {
    # Gu et al., NeurIPS 2021: k = 9, 8 bit, gamma std 0.002, crosstalk 0.005, bias U(0, 2 pi); it gives no device
    # constants, so the cost takes those of a thermo-optic chip
    "l2ight": _L2IGHT,
    "ideal": _L2IGHT.ideal().replace(name="ideal"),
    # 8-bit converters on every side, heaters that see each other
    "thermo-optic": _L2IGHT.replace(name="thermo-optic", block_size=8, input_bits=8, output_bits=8),
    # the same without heat: electrostatic shifters hold their phase for nothing and do not warm their neighbours
    "noems": MeshChip(
        name="noems",
        devices=_NOEMS_DEVICES,
        block_size=8,
        input_bits=8,
        output_bits=8,
        crosstalk=0.0,
        field="real",
    ),
}
