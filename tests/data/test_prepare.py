import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from treadle.data import Polarity, decode_image, prepare_image
from treadle.errors import DataError

DARK, LIGHT = Polarity(1.0, 0.0), Polarity(0.0, 1.0)
NOISE = np.random.default_rng(0).integers(0, 256, (12, 16)).astype(np.uint8)
DIGIT = np.zeros((8, 8), np.uint8)
DIGIT[1:7, 3:5], DIGIT[1, 2:5] = 240, 200


def save(path, array, **options):
    Image.fromarray(np.asarray(array, np.uint8) if isinstance(array, list) else array).save(path, **options)
    return path


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(path, width, height, depth, kind, rows):
    """A PNG file by the format's own rules: each row begins with its filter, 0."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", body), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def grow(array, factor):
    return np.kron(array, np.ones((factor, factor), array.dtype))


# size


def test_an_image_of_the_right_size_is_taken_as_it_is(tmp_path):
    found = prepare_image(save(tmp_path / "a.png", NOISE), (1, 12, 16))
    np.testing.assert_array_equal(found.pixels[0], NOISE)
    assert (found.pixels.dtype, found.changes, found.warnings) == (np.uint8, (), ())


@pytest.mark.parametrize("factor", [2, 3, 10])
def test_shrinking_by_a_whole_factor_gives_the_mean_of_blocks(tmp_path, factor):
    large = np.random.default_rng(1).integers(0, 256, (4 * factor, 4 * factor)).astype(np.uint8)
    found = prepare_image(save(tmp_path / "a.png", large), (1, 4, 4))
    means = large.reshape(4, factor, 4, factor).mean(axis=(1, 3))
    np.testing.assert_allclose(found.pixels[0], means, atol=1)  # Pillow rounds rows and columns one after the other
    assert found.changes == (f"resized from {4 * factor}×{4 * factor} to 4×4",)


def test_an_image_drawn_large_comes_back(tmp_path):
    found = prepare_image(save(tmp_path / "a.png", grow(DIGIT, 35)), (1, 8, 8), trained=DARK)
    np.testing.assert_array_equal(found.pixels[0], DIGIT)


@pytest.mark.parametrize(("height", "width", "place"), [(60, 120, (3, 9, 0, 12)), (120, 60, (0, 12, 3, 9))])
def test_sides_keep_their_ratio_and_the_rest_has_the_borders_value(tmp_path, height, width, place):
    drawn = np.full((height, width), 30, np.uint8)
    drawn[20:-20, 20:-20] = 90
    found = prepare_image(save(tmp_path / "a.png", drawn), (1, 12, 12))
    top, bottom, left, right = place
    expected = np.full((12, 12), 30.0)
    small = drawn.reshape(bottom - top, 10, right - left, 10).mean(axis=(1, 3))
    expected[top:bottom, left:right] = small
    np.testing.assert_array_equal(found.pixels[0], expected)
    shape = f"{right - left}×{bottom - top}"
    assert found.changes == (
        f"resized from {width}×{height} to {shape}",
        f"filled up from {shape} to 12×12 with its border's value 30",
    )


def test_an_image_that_fits_one_side_is_only_filled_up(tmp_path):
    found = prepare_image(save(tmp_path / "a.png", np.full((4, 7), 5, np.uint8)), (1, 7, 7))
    np.testing.assert_array_equal(found.pixels, np.full((1, 7, 7), 5))
    assert found.changes == ("filled up from 7×4 to 7×7 with its border's value 5",)


def test_a_small_image_is_enlarged(tmp_path):
    found = prepare_image(save(tmp_path / "a.png", np.array([[0, 100]], np.uint8)), (1, 2, 4))
    assert found.changes == ("resized from 2×1 to 4×2",)
    np.testing.assert_array_equal(found.pixels[0], [[0, 25, 75, 100]] * 2)  # on the line between the two


def test_colour_is_filled_up_channel_by_channel(tmp_path):
    colour = np.full((2, 4, 3), (10, 200, 30), np.uint8)
    found = prepare_image(save(tmp_path / "a.png", colour), (3, 4, 4))
    np.testing.assert_array_equal(found.pixels, np.broadcast_to(np.reshape([10, 200, 30], (3, 1, 1)), (3, 4, 4)))
    assert found.changes == ("filled up from 4×2 to 4×4 with its border's value 10, 200, 30",)


def test_stretched_as_training_reads_images_of_a_size(tmp_path):
    path = save(tmp_path / "a.png", NOISE)
    found = prepare_image(path, (1, 5, 5), stretch=True)
    np.testing.assert_array_equal(found.pixels, decode_image(path, size=(5, 5)))
    assert found.changes == ("resized from 16×12 to 5×5, each side by itself as in training",)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(1, 40)] * 2), st.tuples(st.sampled_from([1, 3]), *[st.integers(1, 12)] * 2), st.booleans()
)
def test_any_size_fits_and_stays_between_its_extremes(tmp_path_factory, size, shape, colour):
    rng = np.random.default_rng(size)
    image = rng.integers(50, 201, (*size, 3) if colour else size).astype(np.uint8)
    found = prepare_image(save(tmp_path_factory.mktemp("any") / "a.png", image), shape)
    assert found.pixels.shape == shape
    assert image.min() - 1 <= found.pixels.min() <= found.pixels.max() <= image.max() + 1
    grey = prepare_image(save(tmp_path_factory.mktemp("one") / "a.png", np.full(size, 77, np.uint8)), shape)
    assert (grey.pixels == 77).all()


# colours


def test_colour_and_grey(tmp_path):
    colour = np.zeros((2, 2, 3), np.uint8)
    colour[..., 0], colour[0, 0, 1] = 200, 100
    path = save(tmp_path / "a.png", colour)
    found = prepare_image(path, (1, 2, 2))
    np.testing.assert_allclose(found.pixels[0], colour @ np.array([0.299, 0.587, 0.114]), atol=1)
    assert found.changes == ("colour turned into grey",)
    assert prepare_image(path, (3, 2, 2)).changes == ()
    np.testing.assert_array_equal(prepare_image(path, (3, 2, 2)).pixels, colour.transpose(2, 0, 1))
    grey = prepare_image(save(tmp_path / "b.png", NOISE), (3, 12, 16))
    np.testing.assert_array_equal(grey.pixels, [NOISE] * 3)
    assert grey.changes == ("grey given to all three channels",)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA"])
def test_every_mode_of_the_same_picture_gives_the_same_pixels(tmp_path, mode):
    picture = Image.fromarray(np.array([[0, 255, 0], [255, 0, 0]], np.uint8)).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture.save(path, **({"quality": 100} if mode == "CMYK" else {}))
    found = prepare_image(path, (1, 2, 3))
    np.testing.assert_allclose(found.pixels[0], [[0, 255, 0], [255, 0, 0]], atol=6 if mode == "CMYK" else 0)


def test_sixteen_bits_become_eight(tmp_path):
    values = np.array([[0, 257, 65535], [256, 25700, 32768]])
    path = png(tmp_path / "a.png", 3, 2, 16, 0, [row.astype(">u2").tobytes() for row in values])
    found = prepare_image(path, (1, 2, 3))
    np.testing.assert_array_equal(found.pixels[0], values // 257)
    assert found.changes == ("16 bits a channel reduced to 8",)
    colours = np.arange(18).reshape(2, 9) * 3000
    path = png(tmp_path / "b.png", 3, 2, 16, 2, [row.astype(">u2").tobytes() for row in colours])
    found = prepare_image(path, (3, 2, 3))
    np.testing.assert_allclose(found.pixels.transpose(1, 2, 0).reshape(2, 9), colours / 257, atol=1)
    assert found.changes == ("16 bits a channel reduced to 8",)


@pytest.mark.parametrize(("name", "orientation"), [("a.png", 6), ("a.jpg", 8), ("a.png", 3), ("a.png", 5)])
def test_an_exif_rotation_is_carried_out(tmp_path, name, orientation):
    turns = {3: lambda x: x[::-1, ::-1], 5: np.transpose, 6: lambda x: np.rot90(x, -1), 8: np.rot90}
    exif = Image.Exif()
    exif[0x0112] = orientation
    drawn = grow(NOISE // 128 * 128, 8)
    found = prepare_image(save(tmp_path / name, drawn, exif=exif), (1, *turns[orientation](drawn).shape))
    assert found.changes == (f"turned upright, as its EXIF orientation {orientation} says",)
    np.testing.assert_allclose(found.pixels[0], turns[orientation](drawn), atol=40 if name == "a.jpg" else 0)


# transparency


@pytest.mark.parametrize(("ink", "ground"), [(0, "white"), (100, "white"), (255, "black"), (200, "black")])
def test_transparent_pixels_get_the_ground_that_the_rest_stands_out_from(tmp_path, ink, ground):
    drawn = np.zeros((8, 8, 4), np.uint8)
    drawn[..., :3], drawn[..., 3] = ink, np.where(DIGIT, 255, 0)
    found = prepare_image(save(tmp_path / "a.png", drawn), (1, 8, 8))
    np.testing.assert_array_equal(found.pixels[0], np.where(DIGIT, ink, 255 if ground == "white" else 0))
    assert found.changes == (f"transparent pixels put on {ground}",)


@pytest.mark.parametrize("light", [True, False])
def test_a_picture_with_a_ground_of_its_own_keeps_it(tmp_path, light):
    drawn = np.zeros((8, 16, 4), np.uint8)
    ink = np.where(DIGIT, 30, 220) if light else np.where(DIGIT, 220, 30)
    drawn[:, 4:12, :3], drawn[:, 4:12, 3] = ink[..., None], 255
    found = prepare_image(save(tmp_path / "a.png", drawn), (1, 8, 16))
    expected = np.full((8, 16), 255 if light else 0)
    expected[:, 4:12] = ink
    np.testing.assert_array_equal(found.pixels[0], expected)


def test_half_transparent_pixels_are_mixed_by_their_share(tmp_path):
    drawn = np.array([[[40, 80], [0, 0]]], np.uint8)  # grey and alpha
    found = prepare_image(save(tmp_path / "a.png", drawn), (1, 1, 2))
    np.testing.assert_allclose(found.pixels[0], [[(40 * 80 + 255 * 175) / 255, 255]], atol=1)


def test_nothing_visible_is_white(tmp_path):
    found = prepare_image(save(tmp_path / "a.png", np.zeros((4, 4, 4), np.uint8)), (1, 4, 4), trained=DARK)
    assert (found.pixels == 255).all()
    assert "neither clearly light nor dark" in found.warnings[0]


def test_a_transparent_colour_of_a_palette(tmp_path):
    picture = Image.fromarray(DIGIT).convert("P")
    zero = picture.getpixel((0, 0))
    picture.save(tmp_path / "a.png", transparency=zero)
    found = prepare_image(tmp_path / "a.png", (1, 8, 8))
    np.testing.assert_array_equal(found.pixels[0], DIGIT)  # light ink, so that the ground is black
    assert found.changes == ("transparent pixels put on black",)


def test_an_opaque_alpha_channel_changes_nothing(tmp_path):
    drawn = np.dstack([NOISE, NOISE, NOISE, np.full_like(NOISE, 255)])
    found = prepare_image(save(tmp_path / "a.png", drawn), (1, 12, 16))
    np.testing.assert_array_equal(found.pixels[0], NOISE)
    assert found.changes == ()


# polarity


@pytest.mark.parametrize("drawn", [DIGIT, 255 - DIGIT])
@pytest.mark.parametrize("trained", [DARK, LIGHT, Polarity(0.94, 0.06), None])
def test_only_the_other_polarity_is_inverted(tmp_path, drawn, trained):
    path = save(tmp_path / "a.png", drawn)
    kind = "light on dark" if drawn is DIGIT else "dark on light"
    found = prepare_image(path, (1, 8, 8), trained=trained)
    wanted = trained and trained.kind
    if wanted in (None, kind):
        np.testing.assert_array_equal(found.pixels[0], drawn)
        assert found.changes == ()
    else:
        np.testing.assert_array_equal(found.pixels[0], 255 - drawn)
        assert found.changes == (f"inverted: {kind}, the training images are {wanted}",)
    assert found.warnings == ()


def test_polarity_can_be_chosen(tmp_path):
    path = save(tmp_path / "a.png", 255 - DIGIT)
    kept, inverted = (prepare_image(path, (1, 8, 8), polarity=one, trained=DARK) for one in ("keep", "invert"))
    np.testing.assert_array_equal(kept.pixels[0], 255 - DIGIT)
    np.testing.assert_array_equal(inverted.pixels[0], DIGIT)
    assert (kept.changes, inverted.changes) == ((), ("inverted, as asked",))
    again = prepare_image(save(tmp_path / "b.png", DIGIT), (1, 8, 8), polarity="invert", trained=DARK)
    np.testing.assert_array_equal(again.pixels[0], 255 - DIGIT)
    with pytest.raises(DataError, match="polarity: no choice is called 'auot': did you mean 'auto'"):
        prepare_image(path, (1, 8, 8), polarity="auot")


@pytest.mark.parametrize("drawn", [np.full((8, 8), 200, np.uint8), np.repeat([[0, 255]], 8, axis=0).repeat(4, axis=1)])
def test_a_border_that_tells_nothing_is_left_and_said(tmp_path, drawn):
    found = prepare_image(save(tmp_path / "a.png", drawn.astype(np.uint8)), (1, 8, 8), trained=DARK)
    np.testing.assert_array_equal(found.pixels[0], drawn)
    assert found.warnings == (
        "its border is neither clearly light nor dark, and the training images are light on dark: not inverted",
    )
    assert prepare_image(tmp_path / "a.png", (1, 8, 8), polarity="keep", trained=DARK).warnings == ()


def test_dark_on_light_and_wide_gives_the_array_of_the_digit(tmp_path):
    """Large, in colour, dark on light, wide, with a transparent edge."""
    paper = np.full((80, 160, 4), 255, np.uint8)
    paper[:, 40:120, :3] = 255 - grow(DIGIT, 10)[..., None]
    paper[:, :40, 3] = 0
    found = prepare_image(save(tmp_path / "a.png", paper), (1, 8, 8), trained=DARK)
    small = np.zeros((8, 8))
    small[2:6, 2:6] = DIGIT.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(found.pixels[0], small, atol=1)
    assert found.changes == (
        "transparent pixels put on white",
        "inverted: dark on light, the training images are light on dark",
        "resized from 160×80 to 8×4",
        "filled up from 8×4 to 8×8 with its border's value 0",
    )


# damage


def test_what_cannot_be_read_is_named(tmp_path):
    save(tmp_path / "a.png", NOISE)
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    (tmp_path / "b.png").write_text("no image", encoding="utf-8")
    Image.fromarray(NOISE).save(tmp_path / "c.gif")
    (tmp_path / "folder.png").mkdir()
    for name, expected in [
        ("a.jpg", "the name says JPEG, the content is PNG"),
        ("b.png", "not an image"),
        ("c.gif", "expected a name ending in .png, .jpg, .jpeg, .bmp, found .gif"),
        ("none.png", "no such file"),
        ("folder.png", "expected a file"),
    ]:
        with pytest.raises(DataError, match=expected) as caught:
            prepare_image(tmp_path / name, (1, 8, 8))
        assert str(caught.value).startswith(f"{tmp_path / name}: ")


def test_bombs_frames_scans_and_other_inputs_are_refused(tmp_path):
    for side in (9_000, 60_000):
        with pytest.raises(DataError, match="more than 64000000 pixels"):
            prepare_image(png(tmp_path / "a.png", side, side, 8, 0, []), (1, 8, 8))
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    frames[0].save(tmp_path / "b.png", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="expected one image, found 2 frames"):
        prepare_image(tmp_path / "b.png", (1, 8, 8))
    path = save(tmp_path / "c.jpg", NOISE, progressive=True)
    content = path.read_bytes()
    path.write_bytes(content[:-2] + content[content.rindex(b"\xff\xda") : -2] * 100 + content[-2:])
    with pytest.raises(DataError, match="more than 100 scans"):
        prepare_image(path, (1, 8, 8))
    for shape in [(2, 8, 8), (8,), (1, 1, 8, 8)]:
        with pytest.raises(DataError, match="the network takes"):
            prepare_image(save(tmp_path / "d.png", NOISE), shape)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_a_truncated_image_is_refused_at_every_length(tmp_path, name):
    content = save(tmp_path / name, NOISE).read_bytes()
    for length in range(0, len(content) // 2, 7):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(DataError, match=name):
            prepare_image(tmp_path / name, (1, 8, 8))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["png", "jpg", "bmp"]), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255))), st.data()
)
def test_damaged_bytes_give_an_image_or_an_error_that_names_the_file(tmp_path_factory, kind, changes, data):
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    mode = data.draw(st.sampled_from(["L", "RGB", "P", "RGBA", "LA"] if kind == "png" else ["L", "RGB"]))
    Image.fromarray(NOISE).convert(mode).save(path)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(content)
    told, pixels = f"{path}: ", np.zeros((1, 8, 8), np.uint8)
    try:
        pixels = prepare_image(path, (1, 8, 8), trained=DARK).pixels
    except DataError as error:
        told = str(error)
    assert told.startswith(f"{path}: ")
    assert (pixels.shape, pixels.dtype) == ((1, 8, 8), np.uint8)
