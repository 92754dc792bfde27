"""Running a bench is asking for the compiled kernels."""

from __future__ import annotations

from lightloom.physics import compiled


def ask_for_kernels() -> str:
    """Build the kernels where that can be done, and say what became of it; without them torch does the work."""
    try:
        compiled.build()
    except RuntimeError as reason:
        return str(reason).splitlines()[0]
    return "The kernels are built." if compiled.available() else "The kernels are switched off."
