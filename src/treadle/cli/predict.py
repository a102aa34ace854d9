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
    outputs = loaded.predict(np.stack([read_image(path, shape) for path in images]))
    classes = loaded.classes if loaded.loss.compares == "classes" else None
    results = [_result(str(path), row, classes) for path, row in zip(images, outputs, strict=True)]
    if json:
        print(to_json(results))
        return
    for result in results:
        print(f"{result['image']}: {result['prediction']}{_probabilities(result)}")


def _result(path: str, row: Any, classes: tuple[str, ...] | None) -> dict[str, Any]:
    if classes is None:
        return {"image": path, "prediction": round(float(row[0]), 4)}
    order = np.argsort(-row, kind="stable")
    probabilities = {classes[place]: round(float(row[place]), 6) for place in order}
    return {"image": path, "prediction": classes[order[0]], "probabilities": probabilities}


def _probabilities(result: dict[str, Any]) -> str:
    pairs = list(result.get("probabilities", {}).items())[:SHOWN]
    return "  (" + ", ".join(f"{name}: {share:.1%}" for name, share in pairs) + ")" if pairs else ""
