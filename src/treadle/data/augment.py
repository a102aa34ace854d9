"""Random changes of training images, each a pure function of seed, epoch and the number of the sample.

They change scaled images (N, C, H, W); what comes in from outside has the value that black, 0, is scaled to.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from treadle.errors import DataError
from treadle.splitmix import mixed, splitmix64

Images = NDArray[Any]
MOST = 4096  # pixels of a shift or a square


class Draws:
    """Random numbers for some samples: the same for a sample whatever batch it is in, and whoever reads it.

    SplitMix64 from (seed, epoch, sample, number of the change, number of the draw).

    >>> one, other = (Draws(0, 1, np.array(samples), 0).uniform(2) for samples in ([7, 8], [8]))
    >>> bool((one[1] == other[0]).all())
    True
    """

    def __init__(self, seed: int, epoch: int, samples: NDArray[np.int64], number: int) -> None:
        key = np.full(len(samples), seed % 2**64, np.uint64)
        for part in (epoch, samples, number):
            salt = splitmix64(np.atleast_1d(np.asarray(part, np.int64)).astype(np.uint64), np.ones(1, np.uint64))
            key = mixed(key ^ salt)
        self._key = key

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Return numbers from 0 to below 1, (N, count), always the same."""
        bits = splitmix64(self._key[:, None], np.arange(1, count + 1, dtype=np.uint64))
        found: NDArray[np.float64] = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return found

    def normal(self, count: int) -> NDArray[np.float64]:
        """Return numbers of the normal distribution, (N, count), by Box and Muller."""
        half = -(-count // 2)
        u = self.uniform(2 * half)
        size, angle = np.sqrt(-2 * np.log1p(-u[:, :half])), 2 * np.pi * u[:, half:]
        return np.concatenate([size * np.cos(angle), size * np.sin(angle)], axis=1)[:, :count]


class Augmentation(Protocol):
    """A random change of images."""

    def apply(self, images: Images, draws: Draws, fill: Images) -> Images:
        """Return changed images (N, C, H, W); `fill` (C, 1, 1) is what black is scaled to."""
        ...


@dataclass(frozen=True)
class Shift:
    """Move each image by up to so many whole pixels down or up, and to either side.

    >>> Shift(0).apply(np.ones((1, 1, 2, 2)), Draws(0, 0, np.array([0]), 0), np.zeros((1, 1, 1))).ravel().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    pixels: int

    def __post_init__(self) -> None:
        _require("shift", "pixels", self.pixels, 0 <= self.pixels <= MOST, f"from 0 to {MOST}")

    def apply(self, images: Images, draws: Draws, fill: Images) -> Images:
        """Return the images moved."""
        down, right = np.floor(draws.uniform(2) * (2 * self.pixels + 1)).astype(np.int64).T - self.pixels
        height, width = images.shape[2:]
        rows, columns = np.arange(height) - down[:, None], np.arange(width) - right[:, None]
        return _taken(images, rows[:, :, None], columns[:, None, :], fill)


@dataclass(frozen=True)
class Rotate:
    """Turn each image about its middle by up to so many degrees, either way; between pixels by straight lines."""

    degrees: float

    def __post_init__(self) -> None:
        _require("rotate", "degrees", self.degrees, 0 <= self.degrees <= 180, "from 0 to 180")

    def apply(self, images: Images, draws: Draws, fill: Images) -> Images:
        """Return the images turned."""
        angle = np.deg2rad((2 * draws.uniform(1) - 1) * self.degrees)[:, :, None]
        height, width = images.shape[2:]
        y = (np.arange(height) - (height - 1) / 2)[None, :, None]
        x = (np.arange(width) - (width - 1) / 2)[None, None, :]
        rows = np.cos(angle) * y - np.sin(angle) * x + (height - 1) / 2
        columns = np.sin(angle) * y + np.cos(angle) * x + (width - 1) / 2
        top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
        down, right = ((rows - top)[:, None], (columns - left)[:, None])
        found = np.zeros(images.shape)
        for below in (0, 1):
            for beside in (0, 1):
                weight = (down if below else 1 - down) * (right if beside else 1 - right)
                found += weight * _taken(images, top + below, left + beside, fill)
        return found.astype(images.dtype)


@dataclass(frozen=True)
class Flip:
    """Mirror half of the images, left to right, or upside down where vertical."""

    vertical: bool = False

    def apply(self, images: Images, draws: Draws, fill: Images) -> Images:  # noqa: ARG002 - as all take it
        """Return the images, some of them mirrored."""
        chosen = draws.uniform(1)[:, :, None, None] < 0.5
        return np.where(chosen, images[:, :, ::-1] if self.vertical else images[:, :, :, ::-1], images)


@dataclass(frozen=True)
class Noise:
    """Add noise of the normal distribution to each value; the deviation is in units of the scaled images."""

    deviation: float

    def __post_init__(self) -> None:
        _require("noise", "deviation", self.deviation, 0 <= self.deviation < math.inf, "at least 0")

    def apply(self, images: Images, draws: Draws, fill: Images) -> Images:  # noqa: ARG002
        """Return the images with noise."""
        noise = draws.normal(math.prod(images.shape[1:])).reshape(images.shape)
        return (images + self.deviation * noise).astype(images.dtype)


@dataclass(frozen=True)
class Erase:
    """Make a square of so many pixels black in each image, at any place, the edges included.

    Source: DeVries and Taylor, Improved regularization of convolutional neural networks with cutout, 2017.
    """

    pixels: int

    def __post_init__(self) -> None:
        _require("erase", "pixels", self.pixels, 1 <= self.pixels <= MOST, f"from 1 to {MOST}")

    def apply(self, images: Images, draws: Draws, fill: Images) -> Images:
        """Return the images with a square erased."""
        height, width = images.shape[2:]
        middle = np.floor(draws.uniform(2) * [height, width]).astype(np.int64)
        begin = middle - self.pixels // 2
        rows, columns = np.arange(height) - begin[:, :1], np.arange(width) - begin[:, 1:]
        inside = ((rows >= 0) & (rows < self.pixels))[:, None, :, None]
        inside = inside & ((columns >= 0) & (columns < self.pixels))[:, None, None, :]
        return np.where(inside, fill, images).astype(images.dtype)


AUGMENTATIONS: dict[str, type[Any]] = {"shift": Shift, "rotate": Rotate, "flip": Flip, "noise": Noise, "erase": Erase}


def augment(
    images: Images, parts: Sequence[Augmentation], samples: NDArray[np.int64], fill: Images, *, seed: int, epoch: int
) -> Images:
    """Apply changes one after the other.

    Args:
        images: scaled, (N, C, H, W).
        parts: the changes.
        samples: (N,), numbers of the samples, which with seed and epoch decide what is drawn.
        fill: (C, 1, 1), what black is scaled to.
        seed, epoch: of the training.

    Raises:
        DataError: these are no images.

    >>> images = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> augment(images, [Flip(), Shift(1)], np.array([5]), np.zeros((1, 1, 1)), seed=0, epoch=0).shape
    (1, 1, 2, 2)
    """
    if images.ndim != 4:
        raise DataError(f"augmentation changes images (N, C, H, W), and samples have shape {images.shape[1:]}")
    for number, part in enumerate(parts):
        images = part.apply(images, Draws(seed, epoch, samples, number), fill)
    return images


def _taken(images: Images, rows: NDArray[np.int64], columns: NDArray[np.int64], fill: Images) -> Images:
    """Take the pixels at rows and columns (N, H, W) of each image, or the fill where these lie outside."""
    height, width = images.shape[2:]
    inside = ((rows >= 0) & (rows < height) & (columns >= 0) & (columns < width))[:, None]
    number = np.arange(len(images))[:, None, None]
    found = images[number, :, np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    return np.where(inside, np.moveaxis(found, 3, 1), fill).astype(images.dtype)


def _require(name: str, setting: str, value: Any, fits: bool, range_: str) -> None:
    if not fits:
        raise ValueError(f"{name}: {setting} must be {range_}, found {value}")
