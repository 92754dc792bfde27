"""Named values of one kind, such as chips; a name that is unknown is refused with the nearest one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from lightloom.common.errors import RequestError, nearest

_Value = TypeVar("_Value")


class Presets(Mapping[str, _Value], Generic[_Value]):
    """Values by name, in a fixed order.

    Args:
        what: What a value is, for messages, such as "absorber".
        values: The values, or a function that gives them each time they are asked for.
    """

    def __init__(self, what: str, values: Mapping[str, _Value] | Callable[[], Mapping[str, _Value]]) -> None:
        self.what = what
        self._values = values

    def _present(self) -> Mapping[str, _Value]:
        return self._values() if callable(self._values) else self._values

    def find(self, name: str) -> _Value:
        """The value of this name.

        Args:
            name: One of the keys.

        Raises:
            RequestError: There is none; the nearest known name is given.
        """
        values = self._present()
        if name not in values:
            raise RequestError(f"There is no {self.what} `{name}`. {nearest(str(name), values)}")
        return values[name]

    def __getitem__(self, name: str) -> _Value:
        return self._present()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._present())

    def __len__(self) -> int:
        return len(self._present())
