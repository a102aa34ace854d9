"""Runs on disk: carrying out a recipe, and the folder that keeps what it gave."""

from treadle.runs.folder import create, load, save, to_json
from treadle.runs.train import train

__all__ = ["create", "load", "save", "to_json", "train"]
