"""Runs on disk: carrying out a recipe, and the folder that keeps what it gave."""

from treadle.runs.folder import create, load, save
from treadle.runs.log import to_json
from treadle.runs.predict import Predictions, predict_files, unit_of
from treadle.runs.train import resume, train

__all__ = ["Predictions", "create", "load", "predict_files", "resume", "save", "to_json", "train", "unit_of"]
