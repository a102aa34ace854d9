"""Whether images are light on dark or dark on light, judged by their borders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import extent
from treadle.data.stored import PIECE, Stored

LIGHT_ON_DARK, DARK_ON_LIGHT = "light on dark", "dark on light"
CONSISTENT = 0.95  # share of the training images from which on theirs is one polarity
_CLEAR = 0.8  # share of the border's pixels on one side of the middle
_CONTRAST = 0.1  # of the whole range, below which an image shows nothing
_LOOKED_AT = 1_000  # training images, taken evenly


@dataclass(frozen=True)
class Polarity:
    """Which share of some images is light on dark, and which dark on light; of the rest the border does not tell.

    >>> Polarity(0.97, 0.01).kind, Polarity(0.6, 0.3).kind
    ('light on dark', None)
    """

    light_on_dark: float
    dark_on_light: float

    @property
    def kind(self) -> str | None:
        """The polarity that at least 95 % of the images have; None where there is none."""
        if self.light_on_dark >= CONSISTENT:
            return LIGHT_ON_DARK
        return DARK_ON_LIGHT if self.dark_on_light >= CONSISTENT else None

    def to_dict(self) -> dict[str, float]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, float]) -> Polarity:
        """Rebuild what `to_dict` gave.

        >>> Polarity.from_dict(Polarity(1.0, 0.0).to_dict())
        Polarity(light_on_dark=1.0, dark_on_light=0.0)
        """
        return cls(saved["light_on_dark"], saved["dark_on_light"])


def polarity_of(inputs: NDArray[Any] | Stored) -> Polarity | None:
    """Return the polarity of training images (N, C, H, W), from 1,000 of them taken evenly; None for other inputs.

    >>> images = np.zeros((4, 1, 5, 5), np.uint8)
    >>> images[:3, 0, 2, 2], images[3, 0, 0] = 255, 255
    >>> polarity_of(images), polarity_of(np.zeros((4, 2)))
    (Polarity(light_on_dark=0.75, dark_on_light=0.0), None)
    """
    if inputs.ndim != 4 or not len(inputs):
        return None
    low, high = extent(inputs)
    numbers = np.unique(np.linspace(0, len(inputs) - 1, min(_LOOKED_AT, len(inputs))).astype(np.int64))
    step = max(1, PIECE // (8 * math.prod(inputs.shape[1:])))
    parts = (inputs[numbers[begin : begin + step]] for begin in range(0, len(numbers), step))
    kinds = [kind for part in parts for kind in polarities(part, high - low)]
    return Polarity(*(kinds.count(kind) / len(kinds) for kind in (LIGHT_ON_DARK, DARK_ON_LIGHT)))


def polarities(images: NDArray[Any], span: float) -> list[str | None]:
    """Return for each image whether it is light on dark or dark on light; None where its border does not tell.

    The border is dark where at least 80 % of its pixels lie below the middle between the darkest and the lightest
    pixel of the image, and light where at least 80 % lie above. Of channels the mean is taken. An image whose pixels
    differ by less than a tenth of the span shows nothing.

    Args:
        images: (N, C, H, W).
        span: from the darkest to the lightest value that pixels may have.

    >>> image = np.full((1, 1, 4, 4), 255, np.uint8)
    >>> image[..., 1:3, 1:3] = 0
    >>> polarities(image, 255), polarities(255 - image, 255), polarities(image * 0, 255)
    (['dark on light'], ['light on dark'], [None])
    """
    grey = images.mean(axis=1, dtype=np.float64)
    low, high = grey.min(axis=(1, 2)), grey.max(axis=(1, 2))
    below = (border(grey) < ((low + high) / 2)[:, None]).mean(axis=1)
    found: list[str | None] = []
    for contrast, share in zip(high - low, below, strict=True):
        if contrast < _CONTRAST * span or not contrast:
            found.append(None)
        else:
            found.append(LIGHT_ON_DARK if share >= _CLEAR else DARK_ON_LIGHT if share <= 1 - _CLEAR else None)
    return found


def border(images: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels of the outermost rows and columns (…, P) of images (…, H, W).

    >>> border(np.arange(9).reshape(3, 3)).tolist()
    [0, 1, 2, 3, 5, 6, 7, 8]
    """
    edge = np.ones(images.shape[-2:], bool)
    edge[1:-1, 1:-1] = False
    pixels: NDArray[Any] = images[..., edge]
    return pixels
