"""Loading a source by its name or path; the registry of what is known."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from treadle.data.assemble import load_table
from treadle.data.dataset import Sets
from treadle.data.gaps import Gaps
from treadle.data.sources.arrays import load_npy_folder, load_npz
from treadle.data.sources.idx import load_idx_folder
from treadle.data.sources.image_folder import load_image_folder
from treadle.data.sources.mnist import load_mnist
from treadle.data.sources.mnist_json import load_mnist_json
from treadle.data.sources.parquet import load_parquet
from treadle.data.sources.public import load_cifar10, load_fashion_mnist, load_kmnist
from treadle.data.sources.small import load_diabetes, load_digits, load_wine
from treadle.data.validity import Finding
from treadle.errors import DataError

SOURCES: dict[str, Callable[..., Sets]] = {
    "mnist": load_mnist,
    "diabetes": load_diabetes,
    "wine": load_wine,
    "digits": load_digits,
    "fashion_mnist": load_fashion_mnist,
    "kmnist": load_kmnist,
    "cifar10": load_cifar10,
}
# what a path is: its name, whether a path is one, and how it is loaded; the first that fits is taken
FORMATS: list[tuple[str, Callable[[Path], bool], Callable[..., Sets]]] = [
    ("a folder with IDX files", lambda path: path.is_dir() and _has_idx(path), load_idx_folder),
    ("a folder of NPY files", lambda path: path.is_dir() and _has_npy(path), load_npy_folder),
    ("a folder of images by class", Path.is_dir, load_image_folder),
    ("a .json.gz file", lambda path: path.name.endswith(".json.gz"), load_mnist_json),
    ("an .npz file", lambda path: path.name.lower().endswith(".npz"), load_npz),
    ("a .parquet file", lambda path: path.name.lower().endswith(".parquet"), load_parquet),
    (
        "a .csv or .tsv file",
        lambda path: path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")),
        load_table,
    ),
]


def _has_npy(folder: Path) -> bool:
    return any(path.suffix == ".npy" for path in folder.iterdir())


def _has_idx(folder: Path) -> bool:
    return any("idx" in path.name and "-ubyte" in path.name for path in folder.iterdir() if path.is_file())


def load(
    source: str | Path, *, classes: bool | None = None, findings: list[Finding] | None = None, **settings: Any
) -> Sets:
    """Load a source by its name in `SOURCES`, or from a path: a folder of IDX files or images, a JSON or CSV file.

    A known name comes before a path of the same name; write `./mnist` for the path.

    Args:
        source: name or path.
        classes: whether the targets of a table are classes, as in `from_table`; other sources know.
        findings: where a list is given, it gets what is found about missing values in a table, which are an error else
            where no policy is stated, so that the rest of the data can be examined. See `Gaps`.
        settings: of the reader, such as target and split for `load_table`; None stands for what is not set.

    Raises:
        DataError: what cannot be read, or a setting that this source has no use for.

    >>> load("minst")
    Traceback (most recent call last):
    treadle.errors.DataError: 'minst' is no known data and no path; did you mean 'mnist'? Known: mnist, ...
    """
    given = {name: value for name, value in settings.items() if value is not None}
    if isinstance(source, str) and source in SOURCES:
        return _loaded(SOURCES[source], source, (), classes, findings, given)
    path = Path(source)
    known = f"Known: {', '.join([*SOURCES, *(name for name, _, _ in FORMATS)])}"
    if path.exists() and str(source):
        for _, fits, read in FORMATS:
            if fits(path):
                return _loaded(read, str(path), (path,), classes, findings, given)
        raise DataError(f"{path}: a file of this kind cannot be read. {known}")
    if isinstance(source, Path) or len(path.parts) > 1 or path.suffix:
        raise DataError(f"{path}: no such file or folder. {known}")
    import difflib

    close = difflib.get_close_matches(source, SOURCES, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise DataError(f"{source!r} is no known data and no path{hint} {known}")


def asks_for_classes(source: str | Path) -> bool:
    """Whether a source has to be told if its targets are classes, as a table has.

    >>> asks_for_classes("mnist"), asks_for_classes("people.csv")
    (False, True)
    """
    read = SOURCES.get(str(source))
    return read is None or "classes" in inspect.signature(read).parameters


def _loaded(
    read: Callable[..., Sets],
    name: str,
    arguments: tuple[Any, ...],
    classes: bool | None,
    findings: list[Finding] | None,
    given: dict[str, Any],
) -> Sets:
    parameters = inspect.signature(read).parameters.values()
    takes = [parameter.name for parameter in parameters if parameter.kind == parameter.KEYWORD_ONLY]
    for setting in given:
        if setting not in takes:
            own = "it has its own sets" if setting == "split" else f"it takes {', '.join(takes) or 'no settings'}"
            raise DataError(f"{name}: {setting} is not a setting of this source: {own}")
    if "classes" in takes:
        given = {**given, "classes": classes}
    if "missing" in takes and findings is not None:
        given = {**given, "missing": Gaps(given.get("missing", "error"), findings)}
    return read(*arguments, **given)
