import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from treadle.data import decode_image, image, read_image
from treadle.errors import DataError

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def huge_png(path: Path, width: int, height: int) -> Path:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.PNG"])
def test_grey_pixels_come_back(tmp_path, name):
    pixels = read_image(save(tmp_path / name, GREY), (1, 3, 4))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[0], GREY)


def test_colour_becomes_channels_or_grey(tmp_path):
    colour = np.zeros((2, 2, 3), np.uint8)
    colour[..., 0], colour[0, 0, 1] = 200, 100
    path = save(tmp_path / "a.png", colour)
    np.testing.assert_array_equal(read_image(path, (3, 2, 2)), colour.transpose(2, 0, 1))
    expected = colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(read_image(path, (1, 2, 2))[0], expected, atol=1)


def test_jpeg_is_read(tmp_path):
    path = save(tmp_path / "a.jpg", np.full((8, 8), 128, np.uint8), quality=95)
    np.testing.assert_allclose(read_image(path, (1, 8, 8)), 128, atol=2)


def test_an_opaque_alpha_channel_is_dropped_and_transparency_refused(tmp_path):
    rgba = np.full((2, 2, 4), 255, np.uint8)
    assert read_image(save(tmp_path / "a.png", rgba), (3, 2, 2)).min() == 255
    rgba[0, 0, 3] = 0
    with pytest.raises(DataError, match="transparent"):
        read_image(save(tmp_path / "b.png", rgba), (3, 2, 2))


@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 3, 4)])
def test_an_opaque_palette_that_tells_its_transparency_is_read(tmp_path, shape):
    palette = Image.fromarray(GREY).convert("P")
    palette.save(tmp_path / "a.png", transparency=bytes([255]) * 256)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", shape), np.broadcast_to(GREY, shape))
    palette.save(tmp_path / "a.png", transparency=bytes([0]) * 256)
    with pytest.raises(DataError, match="transparent"):
        read_image(tmp_path / "a.png", shape)


def test_another_size_names_both_and_the_fix(tmp_path):
    path = save(tmp_path / "a.png", GREY)
    with pytest.raises(DataError, match=r"expected 28×28 pixels .*found 4×3; resize it to 28×28"):
        read_image(path, (1, 28, 28))


def test_a_file_larger_than_its_pixels_need_is_refused_before_reading(tmp_path):
    path = save(tmp_path / "a.png", GREY)
    with path.open("ab") as file:
        file.truncate(2**24 + 8 * 12)
    assert read_image(path, (1, 3, 4), max_pixels=12).shape == (1, 3, 4)
    with pytest.raises(DataError, match=r"has 16,777,312 bytes, and 11 pixels need 16,777,304 at most"):
        read_image(path, (1, 3, 4), max_pixels=11)


@pytest.mark.parametrize(("width", "height"), [(9000, 9000), (60_000, 60_000)])
def test_an_image_bomb_is_refused_before_decoding(tmp_path, width, height):
    with pytest.raises(DataError, match="more than 64000000 pixels"):
        read_image(huge_png(tmp_path / "a.png", width, height), (1, height, width))


def test_between_our_limit_and_that_of_pillow_is_an_error_too(tmp_path):
    with pytest.raises(DataError, match="more than 64000000 pixels"):
        read_image(huge_png(tmp_path / "a.png", 10_000, 10_000), (1, 10_000, 10_000))


def test_scans_without_end_are_refused_before_decoding(tmp_path):
    path = save(tmp_path / "a.jpg", GREY, progressive=True)
    content = path.read_bytes()
    last = content.rindex(b"\xff\xda")
    assert read_image(path, (1, 3, 4)).shape == (1, 3, 4)
    path.write_bytes(content[:-2] + content[last:-2] * 100 + content[-2:])
    with pytest.raises(DataError, match="more than 100 scans"):
        read_image(path, (1, 3, 4))


def test_sixteen_bits_are_refused(tmp_path):
    path = save(tmp_path / "a.png", np.arange(4, dtype=np.uint16).reshape(2, 2) * 9000)
    with pytest.raises(DataError, match="16 bits"):
        read_image(path, (1, 2, 2))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_an_exif_rotation_is_refused(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    with pytest.raises(DataError, match="EXIF orientation 6"):
        read_image(save(tmp_path / name, GREY, exif=exif), (1, 3, 4))


def test_a_rotation_told_in_other_places_is_refused(tmp_path):
    exif, xmp = Image.Exif(), b'<x:xmpmeta tiff:Orientation="6"/>'
    exif[0x0112] = 6
    profile, packet = PngInfo(), PngInfo()
    profile.add_text("Raw profile type exif", f"\nexif\n{len(exif.tobytes())}\n{exif.tobytes().hex()}\n")
    packet.add_itxt("XML:com.adobe.xmp", xmp.decode())
    save(tmp_path / "a.png", GREY, pnginfo=profile)
    save(tmp_path / "b.png", GREY, pnginfo=packet)
    content = save(tmp_path / "c.jpg", GREY).read_bytes()
    body = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    (tmp_path / "c.jpg").write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:])
    for name in ("a.png", "b.png", "c.jpg"):
        with pytest.raises(DataError, match="EXIF orientation 6"):
            read_image(tmp_path / name, (1, 3, 4))


def test_threads_read_images_and_leave_the_filters_of_warnings_alone(tmp_path):
    path, huge = save(tmp_path / "a.png", GREY), huge_png(tmp_path / "b.png", 10_000, 9_000)

    def read(number: int) -> bool:
        if number % 2:
            return np.array_equal(read_image(path, (1, 3, 4))[0], GREY)
        with pytest.raises(DataError, match="more than"):
            read_image(huge, (1, 9_000, 10_000))
        return True

    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(200)))
    assert warnings.filters == before


def test_several_frames_are_refused(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="2 frames"):
        read_image(tmp_path / "a.png", (1, 3, 4))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_a_truncated_image_is_refused_at_every_length(tmp_path, name):
    noise = np.arange(64, dtype=np.uint8).reshape(8, 8) * 37
    content = save(tmp_path / name, noise).read_bytes()
    for length in range(0, len(content) // 2, 7):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(DataError, match=name):
            read_image(tmp_path / name, (1, 8, 8))


def test_mislabelled_foreign_and_missing_files_are_named(tmp_path):
    save(tmp_path / "a.png", GREY)
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="the name says JPEG, the content is PNG"):
        read_image(tmp_path / "a.jpg", (1, 3, 4))
    (tmp_path / "b.png").write_text("no image", encoding="utf-8")
    with pytest.raises(DataError, match="not an image"):
        read_image(tmp_path / "b.png", (1, 3, 4))
    Image.fromarray(GREY).save(tmp_path / "c.gif")
    with pytest.raises(DataError, match=r"expected a name ending in .png, .jpg, .jpeg, .bmp, found .gif"):
        read_image(tmp_path / "c.gif", (1, 3, 4))
    (tmp_path / "c.gif").rename(tmp_path / "c.png")
    with pytest.raises(DataError, match="not an image in one of the formats"):
        read_image(tmp_path / "c.png", (1, 3, 4))
    with pytest.raises(DataError, match="no such file"):
        read_image(tmp_path / "none.png", (1, 3, 4))
    with pytest.raises(DataError, match="expected a file"):
        read_image(tmp_path, (1, 3, 4))


def test_an_input_of_two_channels_takes_no_image(tmp_path):
    with pytest.raises(DataError, match="1 or 3 channels"):
        read_image(save(tmp_path / "a.png", GREY), (2, 3, 4))


def generally(path, monkeypatch):
    """What Pillow's general reader makes of a file: pixels, or the type and text of the error."""
    with monkeypatch.context() as patch:
        patch.setattr(image, "_plain_png", lambda content, max_pixels: None)
        return outcome(path)


def outcome(path):
    try:
        return decode_image(path)
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "LA", "RGBA"])
def test_plain_png_files_are_read_as_the_general_reader_reads_them(tmp_path, monkeypatch, mode):
    drawn = np.random.default_rng(0)
    for number, (width, height) in enumerate([(1, 1), (28, 28), (31, 5), (257, 64)]):
        smooth = np.linspace(0, 200, width * height * 3).reshape(height, width, 3)  # what filters are for
        pixels = (smooth + drawn.integers(0, 55, smooth.shape)).astype(np.uint8)
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).convert(mode).save(path, compress_level=(0, 1, 6, 9)[number])
        plain = image._plain_png(path.read_bytes(), 1_000_000)
        assert (plain is not None) == (mode in ("L", "RGB"))
        assert image._plain_png(path.read_bytes(), width * height - 1) is None
        np.testing.assert_array_equal(outcome(path), generally(path, monkeypatch))


def test_what_is_wrong_with_a_plain_png_file_is_left_to_the_general_reader(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(path)
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))] + [whole + b"x"]
    damaged += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(len(whole))]
    for content in damaged:
        path.write_bytes(content)
        assert image._plain_png(path.read_bytes(), 1_000_000) is None
        found, expected = outcome(path), generally(path, monkeypatch)
        assert type(found) is type(expected)
        np.testing.assert_array_equal(found, expected)
    long = len(whole) - 12  # data that are cut or empty, with checksums that are right
    begin = whole.index(b"IDAT")
    for data in (b"", whole[begin + 4 : begin + 8], zlib.compress(b"\0" * 3), zlib.compress(b"\7" * 15)):
        chunk = b"IDAT" + data
        chunk = len(data).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
        path.write_bytes(whole[: begin - 4] + chunk + whole[long:])
        assert outcome(path) == generally(path, monkeypatch)
        assert "damaged or truncated image" in outcome(path)
