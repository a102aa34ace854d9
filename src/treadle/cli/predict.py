"""`treadle predict`: what a run says of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from treadle.cli.options import Json
from treadle.data import read_image
from treadle.errors import DataError, RunError
from treadle.runs import load, to_json
from treadle.train import Run

SHOWN = 3  # of the most probable classes


def predict(
    run: Annotated[Path, Parameter(help="Folder of a run.")],
    /,
    *images: Annotated[Path, Parameter(help="Image files of the size that the network takes.")],
    json: Json = False,
) -> None:
    """Predict the class of images, or their number, scaled as in training.

    Pixels count as they are: where the training data is light on dark, as in MNIST, so must the image be.
    """
    if not images:
        raise DataError("no image given: treadle predict RUN IMAGE…")
    loaded = load(run)
    shape = loaded.input_shape
    if len(shape) != 3:
        raise RunError(f"{run}: was trained on rows of {shape} features, not on images")
    pixels = np.stack([read_image(path, shape) for path in images])
    outputs = loaded.predict(pixels if _bytes(run, loaded) else pixels / np.float32(255))
    if not np.isfinite(outputs).all():
        raise RunError(f"{run}: its predictions are not finite: the network did not learn, train again")
    classes = loaded.classes if loaded.loss.compares == "classes" else None
    results = [_result(str(path), row, classes) for path, row in zip(images, outputs, strict=True)]
    if json:
        print(to_json(results))
        return
    for result in results:
        print(f"{result['image']}: {result['prediction']}{_probabilities(result)}")


def _bytes(run: Path, loaded: Run) -> bool:
    """Whether the training images had bytes, as image files do; otherwise they had 0 to 1."""
    low, high = loaded.input_range
    if loaded.input_dtype == "uint8":
        return True
    if low >= 0 and high <= 1:
        return False
    raise RunError(
        f"{run}: was trained on {loaded.input_dtype} images with values from {low:g} to {high:g}, and image files have "
        "0 to 255: bring them to the units of the training data and use Run.predict in Python"
    )


def _result(path: str, row: Any, classes: tuple[str, ...] | None) -> dict[str, Any]:
    if classes is None:
        return {"image": path, "prediction": round(float(row[0]), 4)}
    order = np.argsort(-row, kind="stable")
    probabilities = {classes[place]: round(float(row[place]), 6) for place in order}
    return {"image": path, "prediction": classes[order[0]], "probabilities": probabilities}


def _probabilities(result: dict[str, Any]) -> str:
    pairs = list(result.get("probabilities", {}).items())[:SHOWN]
    return "  (" + ", ".join(f"{name}: {share:.1%}" for name, share in pairs) + ")" if pairs else ""
