"""The thirteen tables of nuScenes: read, indexed by token, and checked to hang together."""

from __future__ import annotations

import reprlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import read_json

Record = dict[str, Any]
Derived = TypeVar("Derived")

_SCHEMA: dict[str, dict[str, str]] = {
    "category": {"name": ""},
    "attribute": {"name": ""},
    "visibility": {"level": ""},
    "instance": {"category_token": "category"},
    "sensor": {"channel": "", "modality": ""},
    "calibrated_sensor": {"sensor_token": "sensor", "translation": "", "rotation": "", "camera_intrinsic": ""},
    "ego_pose": {"timestamp": "", "translation": "", "rotation": ""},
    "log": {"logfile": ""},
    "scene": {"log_token": "log", "name": "", "first_sample_token": "sample", "last_sample_token": "sample"},
    "sample": {"timestamp": "", "scene_token": "scene", "prev": "sample?", "next": "sample?"},
    "sample_data": {
        "sample_token": "sample",
        "ego_pose_token": "ego_pose",
        "calibrated_sensor_token": "calibrated_sensor",
        "filename": "",
        "timestamp": "",
        "is_key_frame": "",
        "width": "",
        "height": "",
        "prev": "sample_data?",
        "next": "sample_data?",
    },
    "sample_annotation": {
        "sample_token": "sample",
        "instance_token": "instance",
        "visibility_token": "visibility?",
        "attribute_tokens": "attribute*",
        "translation": "",
        "size": "",
        "rotation": "",
        "prev": "sample_annotation?",
        "next": "sample_annotation?",
    },
    "map": {"log_tokens": "log*", "filename": ""},
}
"""Fields that must be there, and the table whose token a field holds: one, one or none (?), or a list of them (*)."""

_TEXTS = {"category": ("name",), "attribute": ("name",), "sensor": ("channel", "modality"), "scene": ("name",)}
"""Fields that name things."""

MODALITIES = ("camera", "lidar", "radar")
"""What a sensor is."""

TABLES = tuple(_SCHEMA)
"""Names of the tables; each is a file `<name>.json`."""


class Tables(Mapping[str, dict[str, Record]]):
    """All tables of one version: `tables["sample"][token]` is a record.

    Args:
        root: The folder that file names in the tables start from.
        version: The folder of the tables in it.
        records: By table and token.
    """

    def __init__(self, root: Path, version: str, records: dict[str, dict[str, Record]]) -> None:
        self.root = root
        self.version = version
        self._records = records
        self._derived: dict[str, Any] = {}

    @property
    def folder(self) -> Path:
        """The folder of the tables."""
        return self.root / self.version

    def __getitem__(self, table: str) -> dict[str, Record]:
        if table not in self._records:
            raise KeyError(f"no table `{table}`. {nearest(table, TABLES)}")
        return self._records[table]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def get_record(self, table: str, token: str) -> Record:
        """The record of a table that has a token.

        Args:
            table: Name of the table.
            token: Token of the record.

        Raises:
            RequestError: There is none with this token.
        """
        if token not in self[table]:
            raise RequestError(f"No record `{token}` in `{self.folder / table}.json`.")
        return self[table][token]

    def derived(self, name: str, make: Callable[[], Derived]) -> Derived:
        """What follows from the records, worked out once.

        Args:
            name: Of what it is.
            make: Works it out.
        """
        if name not in self._derived:
            self._derived[name] = make()
        derived: Derived = self._derived[name]
        return derived

    def of_sample(self, table: str, sample_token: str) -> list[Record]:
        """Records of `sample_data` or `sample_annotation` that belong to a sample, in the order of the table.

        Args:
            table: `sample_data` or `sample_annotation`.
            sample_token: Token of the sample.
        """

        def grouped() -> dict[str, list[Record]]:
            groups: dict[str, list[Record]] = defaultdict(list)
            for record in self[table].values():
                groups[record["sample_token"]].append(record)
            return dict(groups)

        return self.derived(f"{table} by sample", grouped).get(sample_token, [])

    def samples(self, scene: Record) -> list[Record]:
        """Samples of a scene in the order of time.

        Raises:
            RequestError: The chain of samples does not end where the scene does, or runs through another scene.
        """
        chain: dict[str, Record] = {}
        token = str(scene["first_sample_token"])
        while token and token not in chain:
            chain[token] = self.get_record("sample", token)
            token = chain[token]["next"]
        if token or next(reversed(chain)) != scene["last_sample_token"]:
            raise RequestError(
                f"The samples of scene `{scene['name']}` in `{self.folder}` do not lead from its first to its last: "
                "mend `next` in `sample.json`."
            )
        if stray := next((key for key, sample in chain.items() if sample["scene_token"] != scene["token"]), None):
            raise RequestError(f"Sample `{stray}` in scene `{scene['name']}` of `{self.folder}` names another scene.")
        return list(chain.values())

    def cameras(self) -> tuple[str, ...]:
        """Channels of all cameras, such as CAM_FRONT, in the order of the table."""
        return tuple(str(row["channel"]) for row in self["sensor"].values() if row["modality"] == "camera")

    def channel(self, data: Record) -> str:
        """Name of the sensor that a record of `sample_data` comes from, such as CAM_FRONT."""
        calibrated = self["calibrated_sensor"][data["calibrated_sensor_token"]]
        return str(self["sensor"][calibrated["sensor_token"]]["channel"])

    def category(self, annotation: Record) -> str:
        """Name of the category of an annotated object, such as vehicle.car."""
        instance = self["instance"][annotation["instance_token"]]
        return str(self["category"][instance["category_token"]]["name"])


def read_tables(root: Path, version: str) -> Tables:
    """Read and check all tables.

    Args:
        root: Folder of the set, with `samples/` and the folder of the tables in it.
        version: Folder of the tables, such as v1.0-mini.

    Raises:
        RequestError: A table is missing or broken, a field is missing, or a token names nothing.
    """
    folder = root.expanduser() / version
    if not folder.is_dir():
        versions = sorted(path.parent.name for path in root.expanduser().glob("*/sample_data.json"))
        there = f"Versions there: {', '.join(f'`{name}`' for name in versions)}." if versions else "Check the root."
        raise RequestError(f"Missing: the folder `{folder}` of the nuScenes tables. {there}")
    missing = [f"`{name}.json`" for name in TABLES if not (folder / f"{name}.json").is_file()]
    if missing:
        raise RequestError(f"Missing in `{folder}`: {', '.join(missing)}. Unpack the whole metadata archive there.")
    tables = Tables(root.expanduser(), version, {name: _read(folder / f"{name}.json") for name in TABLES})
    for name, fields in _SCHEMA.items():
        for field, target in fields.items():
            if target:
                _check_links(tables, name, field, target)
    for token, sensor in tables["sensor"].items():
        if sensor["modality"] not in MODALITIES:
            raise RequestError(
                f"`modality` of record `{token}` in `{folder / 'sensor'}.json` is `{sensor['modality']}`. "
                f"{nearest(sensor['modality'], MODALITIES)}"
            )
    names = Counter(scene["name"] for scene in tables["scene"].values())
    if twice := [name for name, count in names.items() if count > 1]:
        raise RequestError(f"Two scenes in `{folder / 'scene'}.json` have the name `{twice[0]}`; give each its own.")
    return tables


def check_cameras(tables: Tables, cameras: Sequence[str]) -> None:
    """See that cameras are chosen, and that the tables have them.

    Args:
        tables: The tables of the set.
        cameras: Channels of the cameras to use.

    Raises:
        RequestError: There is none, or one of them is not in the tables.
    """
    available = tables.cameras()
    if not cameras:
        raise RequestError(f"No camera was named; choose among {', '.join(f'`{name}`' for name in available)}.")
    for camera in cameras:
        if camera not in available:
            raise RequestError(f"No camera `{camera}` in `{tables.folder}`. {nearest(camera, available)}")


def _read(file: Path) -> dict[str, Record]:
    """Records by token; the fields of the schema are there."""
    rows = read_json(file)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RequestError(f"`{file}` should hold a list of records.")
    records: dict[str, Record] = {}
    needed = {"token", *_SCHEMA[file.stem]}
    for number, row in enumerate(rows):
        if absent := needed - row.keys():
            fields = ", ".join(f"`{name}`" for name in sorted(absent))
            raise RequestError(f"Record {number} of `{file}` has no {fields}.")
        token = row["token"]
        if not (isinstance(token, str) and token) or token in records:
            raise RequestError(f"Record {number} of `{file}` needs a token of its own, got {reprlib.repr(token)}.")
        for field in _TEXTS.get(file.stem, ()):
            if not isinstance(row[field], str):
                raise RequestError(
                    f"`{field}` of record `{token}` in `{file}` is {reprlib.repr(row[field])}, not text."
                )
        records[row["token"]] = row
    return records


def _check_links(tables: Tables, table: str, field: str, target: str) -> None:
    targets, optional, several = tables[target.rstrip("?*")], target.endswith("?"), target.endswith("*")
    for token, record in tables[table].items():
        value = record[field]
        if several and not isinstance(value, list):
            raise RequestError(f"`{field}` of record `{token}` in `{tables.folder / table}.json` should be a list.")
        for link in value if several else (value,):
            if not (isinstance(link, str) and (link in targets or (optional and not link))):
                raise RequestError(
                    f"`{field}` of record `{token}` in `{tables.folder / table}.json` is {reprlib.repr(link)}, which "
                    f"is no token of `{target.rstrip('?*')}.json`. The tables belong to different versions, or a file "
                    "is cut short."
                )
