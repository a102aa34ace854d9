"""Arrays of NumPy: NPZ archives and folders of NPY files, read without unpickling anything."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.assemble import from_arrays
from treadle.data.dataset import Dataset, Sets
from treadle.data.split import RandomSplit
from treadle.data.stored import Indices, Stored
from treadle.errors import DataError, TreadleError
from treadle.memory import available, require_available

Inputs = NDArray[Any] | Stored
_SETS = {"train": ("_train",), "validation": ("_validation", "_val", "_valid"), "test": ("_test",)}
_INPUTS, _TARGETS = ("x", "inputs", "images"), ("y", "targets", "labels")


def load_npz(
    path: str | Path, *, classes: bool | None = None, split: RandomSplit | None = None, limit_bytes: int = 2**34
) -> Sets:
    """Read an NPZ archive with arrays x and y, or x_train, y_train, x_validation, y_validation, x_test and y_test.

    Instead of x and y they may be called inputs and targets, or images and labels; x_val is x_validation. Images
    (N, H, W) become (N, 1, H, W), and (N, H, W, C) with 1 or 3 channels (N, C, H, W). Targets may have shape (N, 1).

    Args:
        path: of the archive, as `numpy.savez` writes it.
        classes: whether targets are classes; where nothing is said, words and whole numbers are.
        split: of arrays x and y, as in `from_arrays`; archives with sets take none.
        limit_bytes: of all arrays together.

    Raises:
        DataError: names the array; a missing one, objects, which are never unpickled, another size than the header
            says, names that are given twice or lead elsewhere, damage, more bytes than the limit.

    >>> load_npz("missing.npz")
    Traceback (most recent call last):
    treadle.errors.DataError: missing.npz: no such file
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: {'expected a file' if path.exists() else 'no such file'}")
    return _sets(path, _read(path, min(limit_bytes, available())), classes, split)


def load_npy_folder(
    folder: str | Path,
    *,
    classes: bool | None = None,
    split: RandomSplit | None = None,
    stream: bool | None = None,
) -> Sets:
    """Read a folder of NPY files, called as the arrays of `load_npz`: x.npy and y.npy, or x_train.npy and so on.

    Inputs are mapped into memory: they may be larger than it, and are read from the disk when they are needed.

    Args:
        folder: of the files.
        classes, split: as in `load_npz`.
        stream: False reads inputs into memory instead.

    Raises:
        DataError: names the file; as `load_npz` does.

    >>> load_npy_folder("missing")
    Traceback (most recent call last):
    treadle.errors.DataError: missing: no such folder
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: {'expected a folder' if folder.exists() else 'no such folder'}")
    arrays: dict[str, Inputs] = {}
    for path in sorted(folder.glob("*.npy")):
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{path}: a link to {path.resolve()}: put the file itself into the folder")
        if stream is not False and path.stem.partition("_")[0] in _INPUTS:
            arrays[path.stem] = MappedArray(path)
        else:
            with _opened(path) as file:
                arrays[path.stem] = _array(str(path), file, path.stat().st_size)
    return _sets(folder, arrays, classes, split)


class MappedArray(Stored):
    """The array of an NPY file, mapped into memory.

    Args:
        path: of the file.

    Raises:
        DataError: the header is none, promises another size than the file has, or objects.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opened(path) as file:
            shape, self._fortran, self._stored_dtype = _header(str(path), file, path.stat().st_size)
            self._begin, self._stored_shape = file.tell(), shape
        self._map()

    def _map(self) -> None:
        """Map the file, and look at it as samples (N, …)."""
        order: Any = "F" if self._fortran else "C"
        if not math.prod(self._stored_shape):
            self.array = np.zeros(self._stored_shape, self._stored_dtype)
        else:
            try:
                mapped = np.memmap(self.path, self._stored_dtype, "r", self._begin, self._stored_shape, order)
            except (OSError, ValueError) as error:
                raise DataError(f"{self.path}: cannot be read: {error}") from error
            self.array = _images(np.asarray(mapped))
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("array", "survey")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()

    def read(self, indices: Indices) -> NDArray[Any]:
        """Read samples by their numbers."""
        return np.ascontiguousarray(self.array[indices])  # sums have the bits of those of an array in memory


def _sets(path: Path, arrays: dict[str, Inputs], classes: bool | None, split: RandomSplit | None) -> Sets:
    """Make three sets of arrays by their names."""
    if any(f"{name}_train" in arrays for name in (*_INPUTS, *_TARGETS)):
        if split is not None:
            raise DataError(f"{path}: has its own sets: leave out split")
        for name in _INPUTS:
            if name in arrays:
                raise DataError(f"{path}: has {name} beside its own sets: take one of them out")
        pairs = {part: _pair(path, arrays, endings) for part, endings in _SETS.items()}
        labels, names = _labels(path, [y for _, y in pairs.values()], classes)
        train, validation, test = (
            Dataset(_held(x), y, names, part) for (part, (x, _)), y in zip(pairs.items(), labels, strict=True)
        )
        return Sets(train, validation, test, path.stem, f"arrays in {path}")
    x, y = _pair(path, arrays, ("",))
    (targets,), names = _labels(path, [y], classes)
    return from_arrays(_held(x), targets, classes=names, split=split, name=path.stem, origin=f"arrays in {path}")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read(path: Path, limit_bytes: int) -> dict[str, Inputs]:
    """Read all arrays, each after a look at its header."""
    import zipfile

    found: dict[str, Inputs] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                where = f"{path}: {member.filename!r}"
                if not member.filename.endswith(".npy") or "/" in name or "\\" in name or name.startswith("."):
                    raise DataError(f"{where}: expected arrays named such as x.npy")
                if name in found:
                    raise DataError(f"{where}: comes twice")
                if member.file_size > limit_bytes:
                    raise DataError(f"{where}: has {member.file_size} bytes, more than the limit of {limit_bytes}")
                limit_bytes -= member.file_size
                with archive.open(member) as file:
                    found[name] = _array(where, file, member.file_size)
    except TreadleError:
        raise
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: damaged: {error}") from error  # names of members may be no UTF-8
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return found


def _header(where: str, file: Any, size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and dtype of an array in a file of so many bytes."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise DataError(f"{where}: version {version} of the format is not read")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        np.broadcast_to(np.empty((), dtype), shape)  # fails for a shape that no array has, and takes no memory
    except DataError:
        raise
    except Exception as error:  # NumPy reads a header as Python text, which fails in many ways
        raise DataError(f"{where}: no array of NumPy: {error}") from error
    if dtype.hasobject:
        raise DataError(f"{where}: holds Python objects, which are never unpickled: save it with numbers or text")
    needed = math.prod(shape) * dtype.itemsize
    if not dtype.itemsize:
        raise DataError(f"{where}: its header promises {dtype} of shape {shape}: save it anew")
    if file.tell() + needed != size:
        raise DataError(f"{where}: its header promises {needed} bytes for shape {shape}, found {size - file.tell()}")
    return shape, fortran, dtype


def _array(where: str, file: Any, size: int) -> NDArray[Any]:
    import zipfile
    import zlib

    shape, fortran, dtype = _header(where, file, size)
    needed = math.prod(shape) * dtype.itemsize
    require_available(where, needed, "only inputs in files x.npy are left on disk")
    try:
        content = file.read(needed)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DataError(f"{where}: damaged: {error}") from error
    if len(content) != needed:
        raise DataError(f"{where}: truncated: expected {needed} bytes, found {len(content)}")
    flat = np.frombuffer(content, dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _pair(path: Path, arrays: dict[str, Inputs], endings: tuple[str, ...]) -> tuple[Inputs, NDArray[Any]]:
    """Inputs and targets of one set."""
    pair = []
    for names in (_INPUTS, _TARGETS):
        known = [arrays[name + ending] for name in names for ending in endings if name + ending in arrays]
        if len(known) != 1:
            wanted = " or ".join(name + ending for name in names for ending in endings[:1])
            raise DataError(
                f"{path}: expected one array {wanted}, found {len(known)}; there are {', '.join(arrays) or 'no arrays'}"
            )
        pair.append(known[0])
    x, y = pair
    assert isinstance(y, np.ndarray)
    if x.dtype.kind not in "biuf":
        raise DataError(f"{path}: inputs should be numbers, found {x.dtype}")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if x.ndim < 2 or y.shape != (len(x),):
        raise DataError(f"{path}: inputs should be (N, …) and targets (N,), found {x.shape} and {y.shape}")
    return x, y


def _images(x: NDArray[Any]) -> NDArray[Any]:
    """Images (N, H, W) or (N, H, W, C) as (N, C, H, W), in the memory they have."""
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        return x.transpose(0, 3, 1, 2)
    return x


def _held(x: Inputs) -> Inputs:
    return x if isinstance(x, Stored) else np.ascontiguousarray(_images(x))


def _labels(
    path: Path, targets: list[NDArray[Any]], classes: bool | None
) -> tuple[list[NDArray[Any]], tuple[str, ...] | None]:
    """Labels of each set with the names of the classes, or numbers and None."""
    for y in targets:
        if y.dtype.kind not in "biufU":
            raise DataError(f"{path}: targets should be numbers or text, found {y.dtype}")
        if (y.dtype.kind == "U") != (targets[0].dtype.kind == "U"):
            raise DataError(f"{path}: targets are {targets[0].dtype} in one set and {y.dtype} in another")
        if y.dtype.kind == "U":
            points = np.ascontiguousarray(y).view(y.dtype.byteorder + "u4")
            if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
                raise DataError(f"{path}: targets are words, and some have characters that are none")
    kind = "f" if any(y.dtype.kind == "f" for y in targets) else targets[0].dtype.kind
    if not (kind in "biuU" if classes is None else classes):
        if kind == "U":
            raise DataError(f"{path}: targets are words, and numbers were asked for")
        return [y.astype(np.float64) for y in targets], None
    every = np.concatenate(targets)
    whole = np.isfinite(every) & (every == np.round(every)) if kind == "f" else np.ones(len(every), bool)
    if not whole.all():
        odd = every[int(np.argmin(whole))]
        raise DataError(f"{path}: targets are classes, which are words or whole numbers, and one is {odd:g}")
    values = np.unique(every)
    names = tuple(str(value) if kind == "U" else str(int(value)) for value in values)
    return [np.searchsorted(values, y).astype(np.int64) for y in targets], names
