"""Images of more than 8 bits, of formats that claim to be huge, and one white for all images of a set."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import ROW, deep_png, picture, text, voc
from PIL import Image

from lightloom.common.errors import RequestError, WorkError
from lightloom.data.detection import ReadOptions, Record, load_detection, read_pixels, read_voc, read_yolo
from lightloom.data.detection.pictures import Depth, read_header, shown, white_level
from lightloom.tasks.detection2d.predict import _record

RAMP = np.linspace(0, 1, 48 * 64).reshape(48, 64)


def ramp(bits: int, share: float = 1.0) -> np.ndarray:
    """Whole numbers up to a share of what so many bits hold."""
    return (RAMP * share * (2**bits - 1)).round().astype(np.uint16)


def saved(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_the_deepest_bits_become_white(tmp_path: Path, bits: int, ending: str) -> None:
    values = ramp(bits)
    pixels = read_pixels(_record(saved(tmp_path / f"a.{ending}", values))).numpy()
    assert np.array_equal(pixels, np.broadcast_to(values >> (bits - 8), pixels.shape))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_colours_of_16_bits_are_read_whole(tmp_path: Path, channels: int, bits: int) -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 2**bits, (9, 11, channels)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    path = tmp_path / "a.png"
    path.write_bytes(deep_png(values[..., 0] if channels == 1 else values))
    pixels = read_pixels(_record(path)).permute(1, 2, 0).numpy()
    seen = values[..., [0, 0, 0]] if channels < 3 else values[..., :3]
    assert np.array_equal(pixels, seen >> (bits - 8))


@pytest.mark.parametrize(
    ("values", "white"),
    [(RAMP, 1.0), (RAMP / 3, 1.0), (RAMP * 7.3, 7.3), ((RAMP * 4095).round(), 4095.0), (RAMP - 0.01, 1.0)],
)
def test_floating_point_numbers_have_a_white(tmp_path: Path, values: np.ndarray, white: float) -> None:
    record = _record(saved(tmp_path / "a.tif", values.astype(np.float32)))
    assert record.white == pytest.approx(white)
    expected = (values * 255 / white).round().clip(0, 255)
    assert np.abs(read_pixels(record)[0].numpy() - expected).max() <= 1


@pytest.mark.parametrize("values", [RAMP - 0.5, np.full((4, 4), np.nan), np.full((4, 4), np.inf)])
def test_values_without_a_black_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    path = saved(tmp_path / "a.tif", values.astype(np.float32))
    with pytest.raises(WorkError, match=r"its values run from .*of which nothing is agreed"):
        _record(path)


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1), st.integers(0, 2**16 - 1))
def test_one_level_holds_every_value_and_is_no_stretching(peaks: list[int], value: int) -> None:
    level = white_level(Depth(float(peak), whole=True, floating=False) for peak in peaks)
    assert level in (255, 1023, 4095, 16383, 65535) and level >= max(peaks)
    assert level == 255 or max(peaks) > level // 4
    seen = shown(np.array([value], np.uint16), level)
    assert seen[0] == min(value * 256 // (int(level) + 1), 255)
    assert shown(np.array([level], np.uint16), level)[0] == 255


def test_a_set_has_one_white_and_says_it(tmp_path: Path) -> None:
    for split, shares in (("train", (0.02, 1.0, 0.5)), ("val", (0.1, 0.05)), ("test", (0.01,))):
        for number, share in enumerate(shares):
            saved(tmp_path / f"images/{split}/{split}{number}.png", ramp(12, share))
            text(tmp_path / f"labels/{split}/{split}{number}.txt", ROW)
    picture(tmp_path / "images/train/usual.png")
    text(tmp_path / "labels/train/usual.txt", ROW)
    text(tmp_path / "classes.txt", "cat\n")
    assert {record.white for record in read_yolo(tmp_path, "val").records} == {1023.0}
    splits = load_detection(f"yolo:{tmp_path}", reading=ReadOptions(on_invalid="fail"))
    whites = {record.white for part in (splits.train, splits.validation, splits.test) for record in part.records}
    assert whites == {4095.0, None}
    (problem,) = splits.problems
    assert (problem.kind, problem.done) == ("white level", "kept")
    assert "6 images hold more than 8 bits; white is 4095 (12 bits) in all of them" in problem.what
    assert int(read_pixels(splits.test.records[0]).max()) == 40 >> 4
    given_white = load_detection(f"yolo:{tmp_path}", reading=ReadOptions(white=2000))
    assert {record.white for record in given_white.test.records} == {2000.0}
    assert "white is 2000 in all of them, as asked for" in given_white.problems[0].what
    with pytest.raises(RequestError, match="`white` is 0"):
        load_detection(f"yolo:{tmp_path}", reading=ReadOptions(white=0))


def test_a_record_made_by_hand_is_not_black(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = _record(saved(tmp_path / "a.png", ramp(12)))
    bare = Record(made.image, 1, "a", made.width, made.height, made.boxes, made.labels, made.crowd)
    assert int(read_pixels(bare).max()) == 255
    assert "4095" in caplog.text and "a.png" in caplog.text


# headers that claim what is not there


def huge(kind: str) -> bytes:
    stream = io.BytesIO()
    form = {"ico": "ICO", "bmp": "BMP", "tif": "TIFF", "gif": "GIF", "png": "PNG", "webp": "WEBP"}[kind]
    Image.new("RGB", (16, 16)).save(stream, form, **({"bitmap_format": "bmp"} if kind == "ico" else {}))
    content = bytearray(stream.getvalue())
    if kind == "bmp":
        struct.pack_into("<ii", content, 18, 2**31 - 1, 2**31 - 1)
    elif kind == "ico":
        place = struct.unpack_from("<I", content, 18)[0]
        struct.pack_into("<ii", content, place + 4, 2**30, 2**30)
    elif kind == "gif":
        struct.pack_into("<HH", content, 6, 65535, 65535)
    elif kind == "png":
        struct.pack_into(">II", content, 16, 2**31 - 1, 2**31 - 1)
    elif kind == "webp":
        content = content[:24] + b"\xff" * 6 + content[30:]
    else:
        count = struct.unpack_from("<H", content, struct.unpack_from("<I", content, 4)[0])[0]
        first = struct.unpack_from("<I", content, 4)[0] + 2
        for entry in range(first, first + 12 * count, 12):
            if struct.unpack_from("<H", content, entry)[0] in (256, 257, 278):
                struct.pack_into("<HII", content, entry + 2, 4, 1, 2**31 - 1)
    return bytes(content)


@pytest.mark.parametrize("kind", ["ico", "bmp", "tif", "gif", "png", "webp"])
@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_claim_is_a_flaw_and_no_crash(tmp_path: Path, kind: str, decode: bool) -> None:
    voc(tmp_path, "a", "b")
    (tmp_path / "JPEGImages/b.png").write_bytes(huge(kind))
    header = read_header(tmp_path / "JPEGImages/b.png", decode=decode)
    if header.trouble is None:  # found when it is decoded
        with pytest.raises(WorkError, match=r"b\.png"):
            read_pixels(_record(tmp_path / "JPEGImages/b.png"))
        return
    read = read_voc(tmp_path, "train", decode=decode)
    assert [record.key for record in read.records] == ["a"]
    assert [problem.done for problem in read.problems] == ["dropped"]
    assert read.problems[0].kind in ("image too large", "damaged image")


@pytest.mark.parametrize("form", ["ICO", "BMP", "TIFF", "GIF", "PNG", "WEBP", "JPEG", "PPM"])
def test_damaged_images_are_flaws_whatever_is_raised(tmp_path: Path, form: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)).save(stream, form)
    whole, generator = stream.getvalue(), np.random.default_rng(1)
    path = tmp_path / "a.png"
    for number in range(60):
        content = bytearray(whole)
        for place in generator.integers(0, min(len(content), 200), 1 + number % 4):
            content[place] = int(generator.choice([0, 1, 0x7F, 0x80, 0xFF]))
        path.write_bytes(content[: generator.integers(1, len(content) + 1)] if number % 3 == 0 else content)
        header = read_header(path, decode=True)
        if header.trouble is None:
            assert min(header.width, header.height) > 0
            read_pixels(_record(path))
