"""Runs on disk: carrying out a recipe, and the folder that keeps what it gave."""

from treadle.runs.folder import create, load, save, to_json
from treadle.runs.predict import Predictions, predict_files, unit_of
from treadle.runs.train import train

__all__ = ["Predictions", "create", "load", "predict_files", "save", "to_json", "train", "unit_of"]
