"""An image file of any size as an input of a network, with a list of what was changed for that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.image import MODES, ORIENTATION, PNG_BIT_DEPTH, opened
from treadle.data.polarity import Polarity, border, polarities
from treadle.errors import DataError, suggest

POLARITIES = ("auto", "keep", "invert")
_MODES = (*MODES, "I", "I;16", "I;16B")


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image as a network takes it.

    Args:
        pixels: uint8 (C, H, W).
        changes: what was changed, in words, in order.
        warnings: what may be wrong.
    """

    pixels: NDArray[np.uint8]
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def prepare_image(
    path: str | Path,
    shape: tuple[int, ...],
    *,
    polarity: str = "auto",
    trained: Polarity | None = None,
    stretch: bool = False,
    max_pixels: int = 64_000_000,
) -> PreparedImage:
    """Read a PNG, JPEG or BMP file of any size and mode as an input of shape (C, H, W), C being 1 or 3.

    What is done, and told in `changes`: 16 bits a channel become 8; an EXIF rotation is carried out; transparent pixels
    are put on white or black; colour becomes grey as 0.299 R + 0.587 G + 0.114 B, or grey the same in three channels;
    an image of the other polarity than the training images is inverted; the image is resized to fit the input, its
    sides keeping their ratio, and what is left at both sides is filled with the median of its border. Shrinking takes
    the mean over the area that a new pixel covers (Pillow's BOX), enlarging the line between the nearest two
    (BILINEAR).

    Transparent pixels: where what is visible spans half of the range from black to white, it has a ground of its own,
    and of white and black the one nearer to its median is taken; otherwise it is ink alone, and the one farther from
    its median is taken. Where nothing is visible it is white.

    Args:
        path: of the file.
        shape: that the network takes.
        polarity: "auto" inverts where at least 95 % of the training images have the one polarity and the border of this
            image shows the other, and warns where the border does not tell; "keep" never inverts, "invert" always.
        trained: polarity of the training images, if known.
        stretch: resize each side by itself and with BILINEAR, as images are that training read with a `size`.
        max_pixels: most that a file may have.

    Raises:
        DataError: no such file, another format, damage, several frames, too many pixels.

    >>> prepare_image("missing.png", (1, 28, 28))
    Traceback (most recent call last):
    treadle.errors.DataError: missing.png: no such file
    """
    path = Path(path)
    if polarity not in POLARITIES:
        raise DataError(f"polarity: no choice is called {polarity!r}: {suggest(polarity, POLARITIES)}")
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise DataError(f"{path}: an image has shape (1, H, W) or (3, H, W), the network takes {shape}")
    with opened(path, max_pixels, _MODES) as (read, content):
        read.load()
        image, changes = _plain(path, read, content)
    image, told = _in_channels(image, shape[0])
    changes += told
    image, told, warned = _in_polarity(image, polarity, trained)
    changes += told
    image, told = _in_size(image, shape[1:], stretch)
    pixels = _array(image)
    return PreparedImage(np.ascontiguousarray(pixels), tuple(changes + told), tuple(warned))


def _plain(path: Path, image: Any, content: bytes) -> tuple[Any, list[str]]:
    """An upright image of mode L or RGB without transparency."""
    from PIL import Image, ImageOps

    changes: list[str] = []
    read_as = image.format  # which a turned image has no longer
    orientation = image.getexif().get(ORIENTATION, 1)
    if orientation in range(2, 9):
        image = ImageOps.exif_transpose(image)
        changes.append(f"turned upright, as its EXIF orientation {orientation} says")
    if read_as == "PNG" and content[PNG_BIT_DEPTH] == 16:
        changes.append("16 bits a channel reduced to 8")
    if image.mode.startswith("I"):  # grey of 16 bits
        if "transparency" in image.info:
            raise DataError(f"{path}: has 16 bits of grey and a transparent one: save it with 8 bits")
        image = Image.fromarray((np.asarray(image).astype(np.int64) // 257).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image, told = _opaque(image)
        changes += told
    return image.convert("L" if image.mode in ("1", "L") else "RGB"), changes


def _opaque(image: Any) -> tuple[Any, list[str]]:
    """Put an image on white or black: what its visible part has for a ground, or stands out from where it has none."""
    from PIL import Image

    mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    if alpha.min() == 255:
        return rgba.convert(mode), []
    visible = np.asarray(rgba.convert("RGB").convert("L"))[alpha >= 128]
    name = "white"
    if visible.size:
        has_ground = int(visible.max()) - int(visible.min()) >= 128
        light = np.median(visible) > 127.5
        name = "white" if light == has_ground else "black"
    ground = Image.new("RGBA", rgba.size, name)
    return Image.alpha_composite(ground, rgba).convert(mode), [f"transparent pixels put on {name}"]


def _in_channels(image: Any, channels: int) -> tuple[Any, list[str]]:
    if channels == 3:
        return image.convert("RGB"), ["grey given to all three channels"] if image.mode == "L" else []
    if image.mode == "L":
        return image, []
    pixels = np.asarray(image)
    coloured = (pixels != pixels[..., :1]).any()
    return image.convert("L"), ["colour turned into grey"] if coloured else []


def _in_polarity(image: Any, polarity: str, trained: Polarity | None) -> tuple[Any, list[str], list[str]]:
    from PIL import ImageOps

    if polarity == "invert":
        return ImageOps.invert(image), ["inverted, as asked"], []
    wanted = trained.kind if polarity == "auto" and trained is not None else None
    if wanted is None:
        return image, [], []
    (found,) = polarities(_array(image)[None], 255)
    if found is None:
        unclear = f"its border is neither clearly light nor dark, and the training images are {wanted}: not inverted"
        return image, [], [unclear]
    if found == wanted:
        return image, [], []
    return ImageOps.invert(image), [f"inverted: {found}, the training images are {wanted}"], []


def _in_size(image: Any, size: tuple[int, ...], stretch: bool) -> tuple[Any, list[str]]:
    from PIL import Image

    height, width = size
    found_width, found_height = image.size
    if (found_width, found_height) == (width, height):
        return image, []
    begin = f"resized from {found_width}×{found_height} to"
    if stretch:
        told = f"{begin} {width}×{height}, each side by itself as in training"
        return image.resize((width, height), Image.Resampling.BILINEAR), [told]
    ratio = min(width / found_width, height / found_height)
    # the side that fits is taken as it is, for a product of floats may be off by one
    fits_width = width * found_height <= height * found_width
    new_width = width if fits_width else max(1, round(found_width * ratio))
    new_height = max(1, round(found_height * ratio)) if fits_width else height
    ground = tuple(int(np.median(border(channel))) for channel in _array(image))
    if (new_width, new_height) != (found_width, found_height):
        changes = [f"{begin} {new_width}×{new_height}"]
        image = image.resize((new_width, new_height), Image.Resampling.BOX if ratio < 1 else Image.Resampling.BILINEAR)
    else:
        changes = []
    if (new_width, new_height) != (width, height):
        whole = Image.new(image.mode, (width, height), ground if len(ground) > 1 else ground[0])
        whole.paste(image, ((width - new_width) // 2, (height - new_height) // 2))
        value = ", ".join(map(str, ground))
        changes.append(f"filled up from {new_width}×{new_height} to {width}×{height} with its border's value {value}")
        image = whole
    return image, changes


def _array(image: Any) -> NDArray[np.uint8]:
    """Pixels (C, H, W)."""
    pixels = np.asarray(image, np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)
