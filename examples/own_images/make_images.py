"""Write a folder of images by class, such as a person has: 100 digits of MNIST each, as PNG files of 28×28 pixels."""

from pathlib import Path

import numpy as np
from PIL import Image

from treadle.data import load

FOLDER, EACH = Path("images"), 100

train = load("mnist").train
for label, name in enumerate(train.classes):
    (FOLDER / name).mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(np.flatnonzero(train.targets == label)[:EACH]):
        Image.fromarray(train.inputs[row, 0]).save(FOLDER / name / f"{number:03}.png")
print(f"{EACH * len(train.classes):,} images in {FOLDER}: a folder for each class")
