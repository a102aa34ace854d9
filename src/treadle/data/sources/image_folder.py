"""Images in folders: a folder a class, or a folder a set with a folder a class in each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from treadle.data.assemble import from_arrays
from treadle.data.dataset import Dataset, Places, Sets
from treadle.data.image import SUFFIXES, decode_image
from treadle.data.split import RandomSplit
from treadle.data.stored import Indices, Stored, stays_on_disk
from treadle.errors import DataError
from treadle.memory import require_available

SETS = {"train": ("train", "training"), "validation": ("validation", "val", "valid"), "test": ("test", "testing")}


def load_image_folder(
    folder: str | Path,
    *,
    size: Sequence[int] | None = None,
    channels: int | None = None,
    split: RandomSplit | None = None,
    stream: bool | None = None,
) -> Sets:
    """Read a folder of PNG, JPEG or BMP files, in which each class has a folder of its own.

    With folders train, validation (or val) and test above those of the classes these are the sets; otherwise the images
    are split. Files are taken in the order of their names; those whose names begin with a dot are left out, all others
    must be images.

    Args:
        folder: holds a folder for each class, or for each set.
        size: height and width to bring all images to; where none is given all must have one size.
        channels: 1 for grey, 3 for colour; where none is given, all must be grey, or all in colour.
        split: as in `from_arrays`.
        stream: whether images stay on disk and are read when they are needed; where nothing is said, those that would
            take more than half of the memory available do.

    Raises:
        DataError: names the file: another size or kind than the images before, damage, no image, a link that leads out
            of the folder; a class without images, or that is in one set alone.
        MemoryLimitError: the images need more memory than is available.

    >>> load_image_folder("missing")
    Traceback (most recent call last):
    treadle.errors.DataError: missing: no such folder
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if size is not None and not (len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
        raise DataError(f"size should be height and width, such as [32, 32], found {list(size)}")
    if channels not in (None, 1, 3):
        raise DataError(f"channels should be 1 for grey or 3 for colour, found {channels}")
    root = folder.resolve()
    inside = _folders(folder, root)
    sets = _sets(folder, inside)
    if sets is not None and split is not None:
        raise DataError(f"{folder}: has folders for its sets: leave out split")
    found = {name: _files(part, root) for name, part in (sets or {"all": folder}).items()}
    classes = tuple(next(iter(found.values())))
    for name, part in found.items():
        if tuple(part) != classes:
            odd = sorted(set(part) ^ set(classes))
            raise DataError(
                f"{folder}: the sets have different classes: {', '.join(odd)} is not in all of them ({name})"
            )
    every = {name: [path for paths in part.values() for path in paths] for name, part in found.items()}
    first = next(iter(every.values()))[0]
    shape = decode_image(first, channels=channels, size=None if size is None else (size[0], size[1])).shape
    files = {name: ImageFiles(paths, shape, size is not None, channels, first.name) for name, paths in every.items()}
    needed = 2 * sum(part.nbytes for part in files.values())  # a split copies
    streams = stays_on_disk(stream, needed)
    if not streams:
        require_available(f"{sum(map(len, files.values())):,} images of shape {shape}", needed, "give a smaller size")
    parts = {name: part if streams else part[:] for name, part in files.items()}
    labels = {name: np.repeat(np.arange(len(part)), [len(p) for p in part.values()]) for name, part in found.items()}
    count = sum(map(len, labels.values()))
    told = f"{count} images in {len(classes)} folders of {folder}" + (
        (f", brought to {size[0]}×{size[1]}" if size else "") + (", which stay on disk" if streams else "")
    )
    places = {
        name: Places("", np.array([path.relative_to(folder).as_posix() for path in paths], object))
        for name, paths in every.items()
    }
    if sets is None:
        return from_arrays(
            parts["all"], labels["all"], classes=classes, split=split, name=root.name, origin=told, places=places["all"]
        )
    train, validation, test = (Dataset(parts[n], labels[n], classes, n, places=places[n]) for n in SETS)
    return Sets(train, validation, test, root.name, told)


def _folders(folder: Path, root: Path) -> list[Path]:
    """Folders inside, by name; raises DataError for one that lies elsewhere, and for a folder without any."""
    found = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    for entry in found:
        _require_inside(entry, root)
        try:
            entry.name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"{folder}: the name of the folder {entry.name!r} is not UTF-8: rename it") from error
    if not found:
        raise DataError(
            f"{folder}: expected a folder of images for each class, or MNIST's files such as train-images-idx3-ubyte, "
            "found neither"
        )
    return found


def _require_inside(path: Path, root: Path) -> None:
    try:
        where = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path}: a link that leads nowhere: {error}") from error
    if path.is_symlink() and (path.is_dir() or not where.is_relative_to(root)):
        raise DataError(f"{path}: a link to {where}: put the files themselves into the folder")


def _sets(folder: Path, inside: list[Path]) -> dict[str, Path] | None:
    """The folder of each set, or None where the folders are those of classes."""
    by_name = {path.name.lower(): path for path in inside}
    found = {name: next((by_name[one] for one in names if one in by_name), None) for name, names in SETS.items()}
    known = {name: path for name, path in found.items() if path is not None}
    if len(known) > 1 and not any(entry.is_dir() for path in known.values() for entry in path.iterdir()):
        names = ", ".join(path.name for path in known.values())
        raise DataError(f"{folder}: expected a folder for each class inside {names}, found none")
    if not known or not all(any(entry.is_dir() for entry in path.iterdir()) for path in known.values()):
        return None
    _require_folders(folder)
    missing = [name for name in SETS if name not in known]
    if missing or len(inside) > len(known):
        odd = ", ".join(path.name for path in inside if path not in known.values())
        raise DataError(
            f"{folder}: expected folders train, validation and test, "
            + (f"found no {' and no '.join(missing)}" if missing else f"found {odd} beside them")
        )
    return known


def _files(folder: Path, root: Path) -> dict[str, list[Path]]:
    """Image files of each class, by its name."""
    found: dict[str, list[Path]] = {}
    _require_folders(folder)
    for part in _folders(folder, root):
        paths = []
        for path in sorted(part.iterdir()):
            if path.name.startswith("."):
                continue
            _require_inside(path, root)
            if path.is_dir():
                raise DataError(f"{path}: expected images here, found a folder")
            if path.suffix.lower() not in SUFFIXES:
                raise DataError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}: take it out")
            paths.append(path)
        if not paths:
            raise DataError(f"{part}: a class without images: add some, or take the folder out")
        found[part.name] = paths
    return found


def _require_folders(folder: Path) -> None:
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir() and not entry.name.startswith("."):
            raise DataError(f"{entry}: expected folders alone here, found a file: move it into one, or elsewhere")


class ImageFiles(Stored):
    """Images in files, all of one shape.

    Args:
        paths: of the files.
        shape: (C, H, W), that all must have.
        resized: whether they are brought to its height and width.
        channels: 1 or 3; None where files must have those of the shape.
        like: name of the file that has this shape, for messages.
    """

    def __init__(
        self, paths: Sequence[Path], shape: tuple[int, ...], resized: bool, channels: int | None, like: str
    ) -> None:
        self.paths, self.channels, self.like = tuple(paths), channels, like
        self.shape, self.dtype = (len(paths), *shape), np.dtype(np.uint8)
        self.size_wanted = (shape[1], shape[2]) if resized else None

    def read(self, indices: Indices) -> NDArray[np.uint8]:
        """Decode images by their numbers."""
        pixels = np.empty((len(indices), *self.shape[1:]), np.uint8)
        for place, number in enumerate(indices):
            image = decode_image(self.paths[number], channels=self.channels, size=self.size_wanted)
            self._require_same(self.paths[number], image.shape)
            pixels[place] = image
        return pixels

    def _require_same(self, path: Path, shape: tuple[int, ...]) -> None:
        expected = self.shape[1:]
        if shape[1:] != expected[1:]:
            raise DataError(
                f"{path}: {shape[2]}×{shape[1]} pixels (width×height), and {self.like} has "
                f"{expected[2]}×{expected[1]}: bring all to one size with size, such as [{expected[1]}, {expected[2]}]"
            )
        if shape[0] != expected[0]:
            kinds = {1: "grey", 3: "in colour"}
            raise DataError(
                f"{path}: {kinds[shape[0]]}, and {self.like} is {kinds[expected[0]]}: set channels to 1 or 3"
            )
