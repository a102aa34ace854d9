"""What a run says of files: images, tables and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.image import SUFFIXES
from treadle.data.prepare import PreparedImage, prepare_image
from treadle.data.sources.arrays import MappedArray
from treadle.data.sources.rows import encoded_rows
from treadle.errors import DataError, RunError
from treadle.recipe import Recipe
from treadle.train import Run

IMAGES, TABLES, ARRAYS = tuple(SUFFIXES), (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet"), (".npy",)
_TOGETHER = 200  # images predicted at a time
_HALF = 128.0  # images whose lightest pixel is at least this, and at most 255, have the values of image files
_SMALL = 16  # bytes that are at most this are grey levels of their own, as in the digits of the package


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a run says of one image, or of some rows of a file.

    Args:
        file: they are from.
        unit: what `places` count: "image", "line", "row" or "sample".
        places: (N,), where in the file the inputs are.
        outputs: (N, C), a probability for each class, or (N, 1), numbers, as `Run.predict` gives them.
        classes: names of the classes; None where numbers are predicted.
        changes: what was made of the file before, in words.
        warnings: what may be wrong.
    """

    file: Path
    unit: str
    places: NDArray[Any]
    outputs: NDArray[Any]
    classes: tuple[str, ...] | None
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def values(self) -> list[str] | list[float]:
        """The most probable class of each input, or the number predicted for it."""
        if self.classes is None:
            return [float(row[0]) for row in self.outputs]
        return [self.classes[place] for place in self.outputs.argmax(axis=1)]


def predict_files(
    run: Run, recipe: Recipe, files: Sequence[str | Path], *, polarity: str = "auto"
) -> Iterator[Predictions]:
    """Yield what a run says of files, in their order: one result an image, and one for some rows of a table at a time.

    Images (PNG, JPEG, BMP) may have any size: see `prepare_image`. Tables (CSV, TSV, Parquet) need the columns that the
    network was trained on, under the same names; others are left out. Arrays (NPY) have shape (N, …) and the units of
    the training data. All are scaled as in training. Tables and arrays may be larger than memory.

    Args:
        run: trained or loaded.
        recipe: of the run, which tells how its data are read; the one in its folder is recipe.toml.
        files: of the kind that the run was trained on.
        polarity: whether images are inverted, as in `prepare_image`.

    Raises:
        DataError: names the file, and line or row; a file of another kind than the run was trained on, before any is
            read.
        RunError: predictions are not finite.

    >>> import treadle as td
    >>> sets, recipe = td.data.load("wine"), Recipe.baseline().change({"data.source": "wine"})
    >>> run = td.fit("softmax", sets, loss="cross_entropy", optimizer=td.optim.Adam(0.01), epochs=1)
    >>> list(predict_files(run, recipe, ["digit.png"]))
    Traceback (most recent call last):
    treadle.errors.DataError: digit.png: is an image, and the run was trained on a table of 13 columns, alcohol, ...
    """
    paths = [Path(file) for file in files]
    for path in paths:
        _require_kind(run, path)
    images: list[Path] = []
    for path in paths:
        if _ends(path, IMAGES):
            images.append(path)
            if len(images) < _TOGETHER:
                continue
        yield from _of_images(run, recipe, images, polarity)
        images = []
        if _ends(path, TABLES):
            yield from _of_table(run, recipe, path)
        elif _ends(path, ARRAYS):
            yield from _of_array(run, path)
    yield from _of_images(run, recipe, images, polarity)


def unit_of(path: Path) -> str:
    """Return what is counted in a file, by its name: an image, or lines, rows or samples.

    >>> unit_of(Path("a.csv")), unit_of(Path("a.PNG"))
    ('line', 'image')
    """
    if _ends(path, IMAGES):
        return "image"
    return "sample" if _ends(path, ARRAYS) else "row" if _ends(path, (".parquet",)) else "line"


def _ends(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes)


def _require_kind(run: Run, path: Path) -> None:
    """Raise DataError where a file is of a kind that the run was not trained on."""
    shape = "×".join(map(str, run.input_shape))
    if len(run.input_shape) == 3:
        trained, suffixes = f"images of {shape} (channels×height×width)", IMAGES + ARRAYS
    elif run.encoding is not None:
        columns = [feature.column for feature in run.encoding.features]
        shown = ", ".join(columns[:10]) + (", …" if len(columns) > 10 else "")
        trained, suffixes = f"a table of {len(columns)} columns, {shown}", TABLES + ARRAYS
    else:
        trained, suffixes = f"arrays of shape (N, {shape}), whose features have no names", ARRAYS
    if _ends(path, suffixes):
        return
    wanted = f"expected a name ending in {', '.join(suffixes)}"
    if not _ends(path, IMAGES + TABLES):
        raise DataError(f"{path}: {wanted}, found {path.suffix or 'no ending'}")
    kind = "an image" if _ends(path, IMAGES) else "a table"
    raise DataError(f"{path}: is {kind}, and the run was trained on {trained}: {wanted}")


def _predicted(run: Run, inputs: NDArray[Any]) -> NDArray[Any]:
    outputs = run.predict(inputs)
    if not np.isfinite(outputs).all():
        raise RunError("predictions of this run are not finite: the network did not learn, train again")
    return outputs


def _classes(run: Run) -> tuple[str, ...] | None:
    return run.classes if run.loss.compares == "classes" else None


def _of_images(run: Run, recipe: Recipe, paths: list[Path], polarity: str) -> Iterator[Predictions]:
    if not paths:
        return
    factor, told = _units(run)
    size = recipe.data.size is not None
    prepared: list[PreparedImage] = [
        prepare_image(path, run.input_shape, polarity=polarity, trained=run.polarity, stretch=size) for path in paths
    ]
    pixels = np.stack([image.pixels for image in prepared])
    outputs = _predicted(run, pixels if factor == 1 else pixels * np.float32(factor))
    for path, image, row in zip(paths, prepared, outputs, strict=True):
        changes = (*image.changes, *told)
        yield Predictions(path, "image", np.zeros(1, np.int64), row[None], _classes(run), changes, image.warnings)


def _units(run: Run) -> tuple[float, tuple[str, ...]]:
    """What the values of image files, 0 to 255, are multiplied by to be in the units of training, and what is told."""
    low, high = run.input_range
    if low < 0 or high <= 0:
        raise RunError(
            f"the run was trained on {run.input_dtype} images with values from {low:g} to {high:g}, and image files "
            "have 0 to 255: bring them to the units of the training data and use Run.predict in Python"
        )
    if high <= 1:
        return 1 / 255, ()
    if _HALF <= high <= 255 or (run.input_dtype == "uint8" and high > _SMALL):
        return 1.0, ()
    return high / 255, (f"brought from 0–255 to the 0–{high:g} of the training images",)


def _of_table(run: Run, recipe: Recipe, path: Path) -> Iterator[Predictions]:
    assert run.encoding is not None
    header = recipe.data.header is not False
    rows = encoded_rows(path, run.encoding, delimiter=recipe.data.delimiter, header=header)
    names = [f"{name} (the target)" if name == recipe.data.target else name for name in rows.unused]
    changes = (f"columns left out: {', '.join(names)}",) if names else ()
    for places, features in rows.pieces:
        _require_finite(path, rows.unit, places, features)
        yield Predictions(path, rows.unit, places, _predicted(run, features), _classes(run), changes)


def _of_array(run: Run, path: Path) -> Iterator[Predictions]:
    if not path.is_file():
        raise DataError(f"{path}: {'expected a file' if path.exists() else 'no such file'}")
    samples = MappedArray(path)
    if samples.dtype.kind not in "biuf":
        raise DataError(f"{path}: expected numbers, found {samples.dtype}")
    if samples.ndim < 1 or samples.shape[1:] != run.input_shape:
        wanted = ", ".join(map(str, run.input_shape))
        raise DataError(f"{path}: expected an array of shape (N, {wanted}), found {samples.array.shape}")
    if not len(samples):
        raise DataError(f"{path}: has no samples")
    warnings: tuple[str, ...] = ()
    if run.input_dtype.startswith("float") != (samples.dtype.kind == "f"):
        low, high = run.input_range
        warnings = (f"has {samples.dtype}, the run was trained on {run.input_dtype} from {low:g} to {high:g}",)
    for begin, piece in samples.pieces():
        places = np.arange(begin, begin + len(piece))
        _require_finite(path, "sample", places, piece)
        yield Predictions(path, "sample", places, _predicted(run, piece), _classes(run), (), warnings)


def _require_finite(path: Path, unit: str, places: NDArray[Any], inputs: NDArray[Any]) -> None:
    finite = np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
    if not finite.all():
        raise DataError(f"{path}: {unit} {places[int(np.argmin(finite))]}: has a value that is not finite: correct it")
