"""The typed recipe, and the registry of the choices of each stage."""

from treadle.recipe.recipe import Recipe
from treadle.recipe.stages import CHOICES
from treadle.recipe.texts import parse_optimizer, parse_value, settings

__all__ = ["CHOICES", "Recipe", "parse_optimizer", "parse_value", "settings"]
