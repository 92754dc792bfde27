"""What SAX makes of netlists, from their files alone; run by a Python that has it.

judge.py FILE...    writes {FILE: {"real": [[...]], "imag": [[...]]}}, M[i][j] from in j to out i
"""

import json
import sys
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import sax  # noqa: E402


def coupler(*, coupling=0.5, loss_db=0.0):
    amplitude = 10 ** (-loss_db / 20)
    through, across = amplitude * jnp.sqrt(1 - coupling) + 0j, 1j * amplitude * jnp.sqrt(coupling)
    return sax.reciprocal(
        {
            ("in0", "out0"): through,
            ("in0", "out1"): across,
            ("in1", "out0"): across,
            ("in1", "out1"): through,
        }
    )


def phase_shifter(*, phase=0.0):
    return sax.reciprocal({("in0", "out0"): jnp.exp(1j * phase)})


def attenuator(*, transmission=1.0):
    return sax.reciprocal({("in0", "out0"): jnp.asarray(transmission, dtype=complex)})


def receiver(*, gain=1.0):
    return sax.reciprocal({("in0", "out0"): jnp.asarray(gain, dtype=complex)})


MODELS = {"coupler": coupler, "phase_shifter": phase_shifter, "attenuator": attenuator, "receiver": receiver}


def matrix(netlist):
    circuit, _ = sax.circuit(netlist, models=MODELS, top_level_name="block")
    found = sax.sdict(circuit())
    size = len(netlist["block"]["ports"]) // 2
    return [[complex(found[f"in{j}", f"out{i}"]) for j in range(size)] for i in range(size)]


answer = {}
for name in sys.argv[1:]:
    rows = matrix(json.loads(Path(name).read_text()))
    answer[name] = {part: [[getattr(value, part) for value in row] for row in rows] for part in ("real", "imag")}
sys.stdout.write(json.dumps(answer))
