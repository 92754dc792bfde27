from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lightloom.common.errors import RequestError, WorkError
from lightloom.data.dataset_info import Mirror
from lightloom.data.files import download, find_files

Server = tuple[str, list[str]]


@pytest.fixture
def server(small_set: dict[str, bytes]) -> Iterator[Server]:
    """A mirror on loopback: its URL, and the file names that it was asked for so far."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[1]
            asked.append(name)
            if not self.path.startswith("/set/"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(small_set[name])))
            self.send_header("Content-Encoding", "x-gzip")  # as some servers label every .gz
            self.end_headers()
            self.wfile.write(small_set[name][: -5 if "broken" in self.path else None])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", asked
        listening.shutdown()
        thread.join()


@pytest.fixture
def md5(small_set: dict[str, bytes]) -> dict[str, str]:
    return {name.removesuffix(".gz"): hashlib.md5(content).hexdigest() for name, content in small_set.items()}


@pytest.fixture
def no_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No data folder, and a cache of its own: its path."""
    monkeypatch.delenv("LIGHTLOOM_DATA", raising=False)
    monkeypatch.setenv("LIGHTLOOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_downloads_once_and_keeps_the_bytes(
    server: Server, md5: dict[str, str], small_set: dict[str, bytes], no_folders: Path
) -> None:
    url, asked = server
    mirror = Mirror(url=f"{url}/set/", md5=md5)
    files = find_files("small", mirror)
    assert files.train_images == no_folders / "data" / "small" / "train-images-idx3-ubyte.gz"
    assert {path.name: path.read_bytes() for path in files} == small_set
    assert sorted(path.name for path in files.train_images.parent.iterdir()) == sorted(small_set)
    assert sorted(asked) == sorted(small_set)
    assert find_files("small", mirror) == files
    assert len(asked) == 4


def test_a_damaged_copy_in_the_cache_is_fetched_again(
    server: Server, md5: dict[str, str], small_set: dict[str, bytes], no_folders: Path
) -> None:
    url, asked = server
    folder = fill(no_folders / "data" / "small", small_set | {"train-labels-idx1-ubyte.gz": b"half"})
    files = find_files("small", Mirror(url=f"{url}/set/", md5=md5))
    assert asked == ["train-labels-idx1-ubyte.gz"]
    assert {path.name: path.read_bytes() for path in files} == small_set
    assert files.test_labels.parent == folder


def check_message(message: str, url: str, folder: Path) -> None:
    for part in (f"`{url}train-images-idx3-ubyte.gz`", f"`{folder}`", "`LIGHTLOOM_DATA`", "`--data`"):
        assert part in message


def test_other_bytes_are_refused_and_not_kept(server: Server, md5: dict[str, str], tmp_path: Path) -> None:
    url = f"{server[0]}/set/"
    mirror = Mirror(url=url, md5=md5 | {"train-images-idx3-ubyte": "0" * 32})
    with pytest.raises(WorkError, match="hash") as caught:
        download(mirror, tmp_path / "small")
    check_message(str(caught.value), url, tmp_path / "small")
    assert list((tmp_path / "small").iterdir()) == []


@pytest.mark.parametrize("path", ["gone", "set/broken"])
def test_a_server_that_fails(server: Server, md5: dict[str, str], tmp_path: Path, path: str) -> None:
    url = f"{server[0]}/{path}/"
    with pytest.raises(WorkError) as caught:
        download(Mirror(url=url, md5=md5), tmp_path / "small")
    check_message(str(caught.value), url, tmp_path / "small")
    assert list((tmp_path / "small").iterdir()) == []


def test_a_server_that_is_not_there(md5: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(WorkError, match="refused") as caught:
            download(Mirror(url=url, md5=md5), tmp_path / "small")
    check_message(str(caught.value), url, tmp_path / "small")


def test_a_cache_that_cannot_be_made(server: Server, md5: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkError, match=r"Could not fetch .*file"):
        download(Mirror(url=f"{server[0]}/set/", md5=md5), tmp_path / "file" / "small")


NOWHERE = Mirror(url="http://127.0.0.1:1/", md5={})


def test_the_argument_goes_before_the_environment(
    small_set: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = fill(tmp_path / "a" / "small", small_set), fill(tmp_path / "b" / "small", small_set)
    monkeypatch.setenv("LIGHTLOOM_DATA", str(tmp_path / "b"))
    assert {path.parent for path in find_files("small", NOWHERE)} == {second}
    assert {path.parent for path in find_files("small", NOWHERE, tmp_path / "a")} == {first}


def test_plain_files_do_as_well(small_set: dict[str, bytes], tmp_path: Path) -> None:
    fill(tmp_path / "small", {name.removesuffix(".gz"): b"" for name in small_set})
    plain = tmp_path / "small" / "t10k-labels-idx1-ubyte"
    assert find_files("small", NOWHERE, tmp_path).test_labels == plain
    packed = plain.with_suffix(".gz")
    packed.write_bytes(b"")
    assert find_files("small", NOWHERE, tmp_path).test_labels == packed


def test_what_is_missing_is_named(small_set: dict[str, bytes], tmp_path: Path) -> None:
    folder = fill(tmp_path / "small", small_set)
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(RequestError) as caught:
        find_files("small", NOWHERE, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"Missing: `{folder}/train-images-idx3-ubyte.gz` (or the same without `.gz`).")
    assert "labels" not in message
    assert "`LIGHTLOOM_DATA`" in message
