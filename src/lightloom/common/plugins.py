"""Tables of records that other packages extend by entry points."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, Protocol, TypeVar

from lightloom.common.errors import RequestError, nearest

_LOG = logging.getLogger("lightloom")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Record = TypeVar("_Record", bound=_Named)


class PlugInTable(Mapping[str, _Record], Generic[_Record]):
    """Records by name: the built-in ones, and those of the entry points of one group.

    Entry points are loaded once, when the table is first looked into. One that does not import, or is no such record,
    or whose name is missing or taken, is left out: a warning of the logger `lightloom` names it, and so does whoever
    asks for it by `find`. All others work.

    Args:
        group: Group of the entry points, such as `lightloom.technologies`.
        what: What a record describes, for messages, such as "technology".
        kind: Class of the records.
        built_in: Gives the records that are always there.
        check: Raises `ValueError` with the reason where a record does not fit beside those that are there; it may be
            None.
    """

    def __init__(
        self,
        group: str,
        what: str,
        kind: type[_Record],
        built_in: Callable[[], tuple[_Record, ...]],
        check: Callable[[_Record, Mapping[str, _Record]], None] | None = None,
    ) -> None:
        self.group, self.what, self.kind = group, what, kind
        self._built_in, self._check = built_in, check

    @cached_property
    def _loaded(self) -> tuple[dict[str, _Record], dict[str, str]]:
        records = {record.name: record for record in self._built_in()}
        refused: dict[str, str] = {}
        for point in sorted(entry_points(group=self.group), key=lambda point: (point.name, point.value)):
            try:
                record = self._load(point, records)
            except Exception as error:  # what a foreign package raises when it is imported may be anything
                reason = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
                refused[point.name] = reason
                _LOG.warning("The %s plug-in `%s` (%s) is left out: %s", self.what, point.name, point.value, reason)
            else:
                records[record.name] = record
        return records, refused

    def _load(self, point: EntryPoint, records: Mapping[str, _Record]) -> _Record:
        record = point.load()
        if not isinstance(record, self.kind):
            raise ValueError(f"it is a `{type(record).__name__}`, no `{self.kind.__name__}`")
        if not (isinstance(record.name, str) and record.name.strip()):
            raise ValueError(f"it has no name; give the `{self.kind.__name__}` one")
        if record.name in records:
            raise ValueError(f"the name `{record.name}` is taken by another {self.what}; choose another one")
        if self._check is not None:
            self._check(record, records)
        return record

    @property
    def refused(self) -> Mapping[str, str]:
        """Why each plug-in that was left out is not there, by the name of its entry point."""
        return self._loaded[1]

    def reload(self) -> None:
        """Look for plug-ins anew at the next use, such as after one was installed."""
        self.__dict__.pop("_loaded", None)

    def find(self, name: str) -> _Record:
        """The record of this name.

        Args:
            name: Of a built-in record, or of a plug-in's.

        Raises:
            RequestError: There is none; the reason is given for a plug-in that was left out, else the nearest name.
        """
        records, refused = self._loaded
        if name in records:
            return records[name]
        if name in refused:
            raise RequestError(f"The {self.what} plug-in `{name}` cannot be used: {refused[name]}.")
        raise RequestError(f"There is no {self.what} `{name}`. {nearest(str(name), records)}")

    def __getitem__(self, name: str) -> _Record:
        return self._loaded[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded[0])

    def __len__(self) -> int:
        return len(self._loaded[0])
