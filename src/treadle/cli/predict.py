"""`treadle predict`: what a run says of images, and of rows of tables and arrays."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from treadle.cli.options import Json, RunFolder, find_run
from treadle.errors import DataError, TreadleError
from treadle.recipe import Recipe
from treadle.runs import Predictions, load, predict_files, to_json, unit_of

SHOWN = 3  # of the most probable classes
Result = dict[str, Any]


def predict(
    run: RunFolder,
    /,
    *files: Annotated[Path, Parameter(help="Images (PNG, JPEG, BMP), tables (CSV, TSV, Parquet) or arrays (NPY).")],
    polarity: Annotated[
        Literal["auto", "keep", "invert"],
        Parameter(
            help="auto inverts images that are dark on light where those of training are light on dark, and the other "
            "way round; keep inverts none; invert inverts all."
        ),
    ] = "auto",
    output: Annotated[
        Path | None,
        Parameter(help="Write the predictions into this CSV file, with the probability of each class."),
    ] = None,
    json: Json = False,
) -> None:
    """Predict the class of new images or rows with its probability, or their number, with a run that was trained.

    Give files of the kind that the run was trained on. Images may have any size: they are resized, made grey or
    coloured, and inverted as the network needs it, and what was changed is told below the prediction. Tables need the
    columns of the training data, under the same names; others, such as the target, are left out. Arrays have shape
    (N, …) and the values of the training data. Everything is scaled as in training.

    For example: `treadle predict runs/FOLDER photo.jpg`, or `treadle predict runs/FOLDER new.csv --output found.csv`.

    With --json: for images alone a list of objects, otherwise an object a line, one for each image, row or sample.
    """
    if not files:
        raise DataError("no file given: treadle predict RUN FILE…")
    run = find_run(run)
    if output is not None:
        _require_output(output, files, json)
    loaded, recipe = load(run), Recipe.read(run / "recipe.toml")
    units = {unit_of(path) for path in files}
    if "image" in units and polarity == "auto" and loaded.polarity is None and len(loaded.input_shape) == 3:
        _note("the run does not tell whether its training images are light on dark: no image is inverted")
    found = predict_files(loaded, recipe, files, polarity=polarity)
    if output is not None:
        place = "" if units == {"image"} else units.pop() if len(units) == 1 else "place"
        classes = loaded.classes if loaded.loss.compares == "classes" else None
        count = _write(output, place, classes, found)
        print(f"{count:,} prediction{'' if count == 1 else 's'} written to {output}")
    elif units == {"image"}:
        results = [result for part in found for result in _results(part)]  # all are read before any is printed
        if json:
            print(to_json(results))
        else:
            for result in results:
                _print_image(result)
    elif json:
        for part in _noted(found):
            for result in _results(part):
                print(to_json(result))
    else:
        _print_rows(found)


def _require_output(output: Path, files: Sequence[Path], json: bool) -> None:
    if json:
        raise TreadleError("--output writes CSV to a file and --json prints to stdout: choose one of them")
    if output.suffix.lower() != ".csv":
        raise TreadleError(f"--output {output}: expected a name ending in .csv, found {output.suffix or 'no ending'}")
    if not output.resolve().parent.is_dir():
        raise TreadleError(f"--output {output}: there is no folder {output.parent}")
    if any(path.resolve() == output.resolve() for path in files):
        raise TreadleError(f"--output {output}: would replace the file to predict: give another name")


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _noted(found: Iterable[Predictions]) -> Iterator[Predictions]:
    """Tell on stderr what was changed in a file, once."""
    last: Path | None = None
    for part in found:
        if part.unit == "image" or part.file != last:
            for text in (*part.changes, *(f"warning: {text}" for text in part.warnings)):
                _note(f"{part.file}: {text}")
        last = part.file
        yield part


def _results(part: Predictions) -> Iterator[Result]:
    for place, row, value in zip(part.places, part.outputs, part.values, strict=True):
        result: Result = {"image": str(part.file)} if part.unit == "image" else {"file": str(part.file)}
        if part.unit != "image":
            result[part.unit] = int(place)
        result["prediction"] = float(f"{value:.6g}") if isinstance(value, float) else value
        if part.classes is not None:
            order = np.argsort(-row, kind="stable")
            result["probabilities"] = {part.classes[number]: round(float(row[number]), 6) for number in order}
        if part.unit == "image":
            result |= {"changes": list(part.changes), "warnings": list(part.warnings)}
        yield result


def _print_image(result: Result) -> None:
    print(f"{result['image']}: {result['prediction']}{_probabilities(result)}")
    for text in (*result["changes"], *(f"warning: {text}" for text in result["warnings"])):
        print(f"  {text}")


def _print_rows(found: Iterable[Predictions]) -> None:
    last: Path | None = None
    for part in found:
        if part.unit == "image":
            for result in _results(part):
                _print_image(result)
            continue
        if part.file != last:
            print(part.file)
            for text in (*part.changes, *(f"warning: {text}" for text in part.warnings)):
                print(f"  {text}")
        last = part.file
        width = max(map(len, part.classes)) if part.classes is not None else 0
        for result in _results(part):
            print(f"  {part.unit} {result[part.unit]}: {result['prediction']!s:{width}}{_probabilities(result)}")


def _probabilities(result: Result) -> str:
    pairs = list(result.get("probabilities", {}).items())[:SHOWN]
    return "  (" + ", ".join(f"{name}: {share:.1%}" for name, share in pairs) + ")" if pairs else ""


def _write(output: Path, place: str, classes: tuple[str, ...] | None, found: Iterable[Predictions]) -> int:
    """Write a row for each prediction and return their number; the file appears when it is complete."""
    names = ["file", *([place] if place else []), "prediction", *(f"probability_{name}" for name in classes or ())]
    count = 0
    with _replacing(output) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for part in _noted(found):
            for number, row, value in zip(part.places, part.outputs, part.values, strict=True):
                at = [] if not place else [""] if part.unit == "image" else [int(number)]
                shares = [f"{share:.6g}" for share in row] if classes else []
                told = f"{value:.6g}" if isinstance(value, float) else value
                writer.writerow([str(part.file), *at, told, *shares])
            count += len(part.outputs)
    return count


@contextmanager
def _replacing(output: Path) -> Iterator[Any]:
    """A file that is put in place of `output` at the end, and taken away where something fails before."""
    aside = output.with_name(output.name + ".part")
    try:
        with aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        aside.replace(output)
    except OSError as error:
        raise TreadleError(f"--output {output}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
