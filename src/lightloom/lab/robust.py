"""An instrument that fails now and then, made dependable: bounded retries, then a clear error."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from torch import Tensor

from lightloom.common.errors import WorkError
from lightloom.lab.line import TransportError
from lightloom.lab.mesh.instrument import BlockSettings, Instrument
from lightloom.lab.readings import ReadingError, checked


class RobustInstrument(Instrument):
    """Retries whatever an instrument could not do: time-outs, lost connections, NaN, wrong shapes, stale data.

    A chip that somebody else holds is waited for as long as the attempts last.

    Before a measurement is tried again the chip is programmed again, since what it does then is uncertain. `calls` are
    those of the instrument, failed ones included. After the last attempt the caller has an error and everything that
    was measured before it; `identity_calibration` and its like go on from there.

    Args:
        instrument: What may fail.
        attempts: How often anything is tried, at least once.
        wait: Pause before the second attempt in s; it doubles with each further one.
        sleep: How to wait.
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        attempts: int = 4,
        wait: float = 0.1,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if attempts < 1:
            raise ValueError(f"{attempts} attempts measure nothing; give at least 1")
        super().__init__(instrument.chip, instrument.blocks)
        self._instrument, self._attempts, self._wait, self._sleep = instrument, attempts, wait, sleep
        self._settings: BlockSettings | None = None
        self._in_doubt = False

    def program(self, settings: BlockSettings) -> None:
        """Drive every device.

        Raises:
            WorkError: It failed every time.
        """
        self._settings = settings
        self._attempt("programming the chip", self._program)

    def reprogram(self, settings: BlockSettings, u_changed: Sequence[int] = (), v_changed: Sequence[int] = ()) -> None:
        """Reprogram the instrument where nothing is in doubt, else program everything.

        Args:
            settings: What the controller asks for.
            u_changed: Indices of the phases of U that may differ from the last ones.
            v_changed: Indices of the phases of V that may.
        """
        self._settings = settings

        def once() -> None:
            if self._in_doubt:
                self._program()
            else:
                self._instrument.reprogram(settings, u_changed, v_changed)

        self._attempt("programming the chip", once)

    def measure(self, inputs: Tensor) -> Tensor:
        """Send light through every block and read it.

        Raises:
            WorkError: It failed every time; the text says how.
        """
        expected = (self.blocks, self.size, inputs.shape[-1])
        return self._measure(lambda: self._instrument.measure(inputs), expected)

    def matrices(self) -> Tensor:
        """Measure the instrument's matrices; errors as `measure`."""
        return self._measure(self._instrument.matrices, (self.blocks, self.size, self.size))

    def skip(self, count: int) -> None:
        """Go on behind `count` measurements of an earlier session, as the instrument does."""
        self._instrument.skip(count)

    def _measure(self, reading: Callable[[], Tensor], expected: tuple[int, ...]) -> Tensor:
        outputs: list[Tensor] = []

        def once() -> None:
            if self._in_doubt and self._settings is not None:
                self._program()
            outputs.append(checked(reading(), expected, is_complex=self.chip.field == "complex"))

        self._attempt("measuring", once)
        return outputs[-1]

    def _program(self) -> None:
        assert self._settings is not None  # whoever calls has set it
        self._instrument.program(self._settings)
        self._in_doubt = False

    def _attempt(self, doing: str, once: Callable[[], None]) -> None:
        failures: list[str] = []
        for attempt in range(self._attempts):
            if attempt:
                self._sleep(self._wait * 2 ** (attempt - 1))
            try:
                once()
                return
            except (TransportError, ReadingError, OSError) as error:
                self._in_doubt = True
                failures.append(str(error) or type(error).__name__)
            finally:
                self.calls = self._instrument.calls
        causes = "; ".join(f"({number}) {text.rstrip('.')}" for number, text in enumerate(failures, 1))
        raise WorkError(
            f"The instrument failed at {doing} {self._attempts} times in a row, after {self.calls} calls: {causes}."
        )
