"""Puts this folder on the path, for its modules that are not tests, and jax into float64."""

import sys
from pathlib import Path

import jax

sys.path.insert(0, str(Path(__file__).parent))
jax.config.update("jax_enable_x64", True)
