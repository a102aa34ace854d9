"""Runs on disk: carrying out a recipe, and the folder that keeps what it gave."""

from treadle.runs.folder import create, load, save
from treadle.runs.log import to_json
from treadle.runs.train import resume, train

__all__ = ["create", "load", "resume", "save", "to_json", "train"]
