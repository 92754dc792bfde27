"""The stage that writes the network in an order that spares devices."""

from __future__ import annotations

from lightloom.common.errors import RequestError
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.technologies.base import technologies_in


def reorder(run: RunContext) -> None:
    """Let each technology that is written find its best order, and count what that saves.

    Raises:
        RequestError: No layer of the network is on a chip whose devices are written.
    """
    state = run.latest_state("learned")
    states = {name: run.network(name) for name in dict.fromkeys(("programmed", state))}
    written = [
        technology
        for technology in technologies_in(states[state])
        if any(core.chip.obstacle("reorder") is None for core in technology.cores(states[state]).values())
    ]
    if not written:
        raise RequestError(
            "No layer of this network is on a chip whose cells are written, so there is nothing to reorder."
        )
    for technology in written:
        technology.reorder(run, states)
    run.save_state(states[state], "reordered")
