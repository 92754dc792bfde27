"""Named crossbars of phase-change cells: what the sources give, what is derived from it, and what is assumed."""

from __future__ import annotations

import math

from lightloom.chips.constants import Confidence, Constant, Status
from lightloom.chips.pcm.chip import PUBLISHED_EXTINCTION, PCMChip
from lightloom.chips.pcm.devices import PCMDevices

_ELIGHT = "Zhu et al., ELight (ASP-DAC 2022), reorder.py"
_ZHOU = "Zhou et al., Nat. Commun. 14, 2887 (2023)"
_MENG = "Meng et al., Light Sci. Appl. 12, 189 (2023)"
_RIOS = "Rios et al., Nat. Photonics 9, 725 (2015)"
_RIOS_2019 = "Rios et al., Sci. Adv. 5, eaau5759 (2019)"
_YU = "Yu et al., arXiv:2604.11649 (2026)"
_LAWSON = "Lawson et al., arXiv:2111.13182 (2021)"
_GSST = "arXiv:2409.12313 (Adv. Opt. Mater. 202402751)"
_JOHNSON = "Johnson et al., Opt. Express 28, 12498 (2020)"


def _decibel(transmission: float) -> float:
    return -10 * math.log10(transmission)


_DOIS = {
    _ELIGHT: "10.48550/arXiv.2112.08512",
    _ZHOU: "10.1038/s41467-023-38473-x",
    _MENG: "10.1038/s41377-023-01213-3",
    _RIOS: "10.1038/nphoton.2015.182",
    _RIOS_2019: "10.1126/sciadv.aau5759",
    _YU: "10.48550/arXiv.2604.11649",
    _LAWSON: "10.48550/arXiv.2111.13182",
    _GSST: "10.48550/arXiv.2409.12313",
}


def _constant(value: float, unit: str, status: Status, source: str) -> Constant:
    """A figure of a cell; the publication named first is the one whose DOI it has."""
    positions = sorted((source.index(title), doi) for title, doi in _DOIS.items() if title in source)
    confidence: dict[Status, Confidence] = {"reported": "A", "derived": "B", "assumed": "C"}
    doi = positions[0][1] if positions else ""
    return Constant(value=value, unit=unit, source=source, doi=doi, status=status, confidence=confidence[status])


def _area(length: float, derivation: str) -> Constant:
    """Area of a cell of this length in m in front of a crossing of 14.3 x 14.3 um."""
    source = f"derived: ({derivation}, + 14.3 um) x 14.3 um, the side of a crossing ({_JOHNSON}); without contacts"
    return _constant((length + 14.3e-6) * 14.3e-6, "m^2", "assumed" if "assumed" in derivation else "derived", source)


def _energy(value: float, status: Status, source: str) -> Constant:
    return _constant(value, "J", status, source)


def _time(value: float, status: Status, source: str) -> Constant:
    return _constant(value, "s", status, source)


def _loss(value: float, status: Status, source: str) -> Constant:
    return _constant(value, "dB", status, source)


def _endurance(cycles: float, status: Status, source: str) -> Constant:
    return _constant(cycles, "1", status, source)


def _elight_devices(step_db: float) -> PCMDevices:
    """The published cell with levels `step_db` apart.

    ELight counts 9 units for a step up and 40 for one down, after V^2 t / R without V or R. The 40 are tied here to
    a measured crystallisation, in J per dB; the 9 keep the ratio.
    """
    tied = f"1.7 nJ/dB to crystallise a 4-bit cell ({_ZHOU}) x {step_db:.3f} dB per step"
    return PCMDevices(
        amorphise_energy=_energy(
            1.7e-9 * step_db * 9 / 40,
            "assumed",
            f"{_ELIGHT}: 9 units to 40, no absolute figure; derived: 9/40 of {tied}",
        ),
        crystallise_energy=_energy(
            1.7e-9 * step_db, "assumed", f"{_ELIGHT}: 40 units, no absolute figure; derived: {tied}"
        ),
        amorphise_time=_time(0.5e-6, "reported", f"{_ELIGHT}: 0.5 us per step, whatever its size"),
        crystallise_time=_time(20e-6, "reported", f"{_ELIGHT}: 20 us per step, whatever its size"),
        endurance=_endurance(
            500e3,
            "assumed",
            f"assumed: that of a 4-bit cell of GSSe, about 500,000 ({_MENG}, table 1); ELight gives none",
        ),
        cell_area=_area(44.6e-6, f"8.9 dB at 0.2 dB/um in GSSe, {_MENG}, assumed for ELight"),
        cell_loss=_loss(0.12, "assumed", f"assumed: that of a 4-bit cell of GSSe ({_MENG}); ELight gives none"),
    )


_ELIGHT_DEVICES = _elight_devices(_decibel(0.872))
_ELIGHT_CHIP = PCMChip(name="elight", devices=_ELIGHT_DEVICES)


def _same_range(name: str, levels: int) -> PCMChip:
    """The published cell with its range cut into another number of levels; a dB costs the same energy."""
    base = PUBLISHED_EXTINCTION ** (1 / (levels - 1))
    return PCMChip(name=name, levels=levels, base=base, devices=_elight_devices(_decibel(base)))


_GSSE_SWITCHING = f"{_MENG}, table 1: 1.5 nJ/dB, one figure for both ways; derived: x 0.8 dB per step"
_GSSE_DEVICES = PCMDevices(
    amorphise_energy=_energy(1.5e-9 * 0.8, "derived", _GSSE_SWITCHING),
    crystallise_energy=_energy(1.5e-9 * 0.8, "derived", _GSSE_SWITCHING),
    amorphise_time=_time(0.5e-6, "assumed", f"assumed: as {_ELIGHT}"),
    crystallise_time=_time(20e-6, "assumed", f"assumed: as {_ELIGHT}"),
    endurance=_endurance(500e3, "reported", f"{_MENG}, table 1: about 500,000 cycles"),
    cell_area=_area(60e-6, f"0.12 dB at 0.002 dB/um, {_MENG}"),
    cell_loss=_loss(0.12, "reported", f"{_MENG}: insertion loss of the 4-bit memory"),
)

# of GST under light, 5 um long: 4 dB at 0.8 dB/um from all amorphous to all crystalline
_GST_LOSS = _loss(0.1, "derived", f"derived: 5 um ({_RIOS}) x 0.02 dB/um ({_MENG}, table 1)")
_GST_ENDURANCE = _endurance(5e3, "reported", f"{_MENG}, table 1: 5,000 cycles of GST switched by light")
_GST_AREA = _area(5e-6, f"5 um, {_RIOS}")

_GST_8_DEVICES = PCMDevices(
    amorphise_energy=_energy(13.4e-12, "reported", f"{_RIOS}: least switching energy, 13.4 pJ"),
    crystallise_energy=_energy(13.4e-12, "assumed", f"{_RIOS}: least switching energy, 13.4 pJ, taken for both ways"),
    amorphise_time=_time(1e-9, "derived", f"{_RIOS}: approaching 1 GHz; derived: its inverse"),
    crystallise_time=_time(1e-9, "assumed", f"{_RIOS}: approaching 1 GHz; derived: its inverse, taken for both ways"),
    endurance=_GST_ENDURANCE,
    cell_area=_GST_AREA,
    cell_loss=_GST_LOSS,
)

_GST_PULSE = f"assumed: half the range of 4 dB at 1.0 nJ/dB ({_MENG}, table 1: GST switched by light)"
_GST_34_DEVICES = PCMDevices(
    amorphise_energy=_energy(2e-9, "assumed", _GST_PULSE),
    crystallise_energy=_energy(2e-9, "assumed", _GST_PULSE),
    amorphise_time=_time(25e-9, "reported", f"{_RIOS_2019}: single pulses of 25 ns"),
    crystallise_time=_time(400e-9, "derived", f"{_RIOS_2019}: write and erase at 2.5 MHz; derived: its inverse"),
    endurance=_GST_ENDURANCE,
    cell_area=_GST_AREA,
    cell_loss=_GST_LOSS,
)

_HEATER_BASE = (1 + 1.585) ** (-1 / 15)
_HEATER_STEP = _decibel(_HEATER_BASE)
_HEATER_ENERGY = f"{_ZHOU}: 1.7 nJ/dB to crystallise; derived: x {_HEATER_STEP:.3f} dB per step"
_GST_HEATER_DEVICES = PCMDevices(
    amorphise_energy=_energy(
        1.7e-9 * _HEATER_STEP * 9 / 40, "assumed", f"assumed: 9/40, as in ELight, of {_HEATER_ENERGY}"
    ),
    crystallise_energy=_energy(1.7e-9 * _HEATER_STEP, "derived", _HEATER_ENERGY),
    amorphise_time=_time(0.5e-6, "assumed", f"assumed: as {_ELIGHT}"),
    crystallise_time=_time(20e-6, "assumed", f"assumed: as {_ELIGHT}"),
    endurance=_endurance(3.8e3, "reported", f"{_MENG}, table 1: 3,800 cycles of GST on a heater of doped silicon"),
    cell_area=_area(20.6e-6, f"4.1 dB ({_ZHOU}) at 0.2 dB/um ({_MENG}, table 1)"),
    cell_loss=_loss(0.82, "derived", f"derived: 20.6 um x 0.04 dB/um ({_MENG}, table 1: doped-silicon heater)"),
)

_SB2SE3_BASE = 10 ** (-2.5 / 63)
_SB2SE3_ENERGY = f"assumed: 1.7 nJ/dB, of GST ({_ZHOU}), x {_decibel(_SB2SE3_BASE):.3f} dB per step"
_SB2SE3_DEVICES = PCMDevices(
    amorphise_energy=_energy(1.7e-9 * _decibel(_SB2SE3_BASE), "assumed", _SB2SE3_ENERGY),
    crystallise_energy=_energy(1.7e-9 * _decibel(_SB2SE3_BASE), "assumed", _SB2SE3_ENERGY),
    amorphise_time=_time(
        0.5e-6, "assumed", f"assumed: as {_ELIGHT}; the material itself takes nanoseconds ({_LAWSON})"
    ),
    crystallise_time=_time(1e-3, "assumed", f"{_LAWSON}: milliseconds; assumed: 1 ms"),
    endurance=_endurance(140e6, "reported", f"{_YU}: more than 140 million cycles"),
    cell_area=_area(44.6e-6, f"assumed: length of the GSSe cell of {_MENG}"),
    cell_loss=_loss(0.12, "assumed", f"assumed: that of a 4-bit cell of GSSe ({_MENG}); {_YU} calls its loss low"),
)

PCM_PRESETS: dict[str, PCMChip] = {
    # Zhu et al., ASP-DAC 2022: 16 levels of base 1 - 0.128, blocks of 64, 4-bit inputs
    "elight": _ELIGHT_CHIP,
    # its other widths, all with the same base, so that 5 and 6 bits reach ever darker and ever finer levels
    "elight-3bit": _ELIGHT_CHIP.replace(name="elight-3bit", levels=8),
    "elight-5bit": _ELIGHT_CHIP.replace(name="elight-5bit", levels=32),
    "elight-6bit": _ELIGHT_CHIP.replace(name="elight-6bit", levels=64),
    # the same widths within the range that the 4-bit cell has, 8.9 dB
    "pcm-3bit": _same_range("pcm-3bit", 8),
    "pcm-5bit": _same_range("pcm-5bit", 32),
    "pcm-6bit": _same_range("pcm-6bit", 64),
    # Rios et al. 2015: 8 levels written by light; assumed: erased before each write
    "gst-8level": PCMChip(
        name="gst-8level", devices=_GST_8_DEVICES, levels=8, base=10 ** (-0.4 / 7), write_model="erase_write"
    ),
    # Li et al., Optica 6, 1 (2019): 34 levels, one pulse from any to any; assumed: the range of 4 dB of the one above
    "gst-34level": PCMChip(
        name="gst-34level", devices=_GST_34_DEVICES, levels=34, base=10 ** (-0.4 / 33), write_model="per_cell"
    ),
    # Zhou et al. 2023: 4 bit on heaters, contrast 158.5 % of the darkest level, computed values good to 0.007
    "gst-heater": PCMChip(name="gst-heater", devices=_GST_HEATER_DEVICES, base=_HEATER_BASE, programming_std=0.007),
    # Meng et al. 2023: 4 bit on heaters; derived: 60 um x 0.2 dB/um = 12 dB in 15 steps
    "gsse": PCMChip(name="gsse", devices=_GSSE_DEVICES, base=10**-0.08),
    # arXiv:2409.12313: endurance of GSST; everything else assumed as in the published cell
    "gsst": PCMChip(
        name="gsst",
        devices=_ELIGHT_DEVICES.replace(
            endurance=_endurance(67e3, "reported", f"{_GSST}: more than 67,000 cycles of GSST")
        ),
    ),
    # Yu et al. 2026: more than 6 bit, 25 dB, the longest life of all; derived: 25 dB in 63 steps
    "sb2se3": PCMChip(name="sb2se3", devices=_SB2SE3_DEVICES, levels=64, base=_SB2SE3_BASE),
}
