"""Every error that Treadle raises on bad input: one base class, one subclass per kind of input."""

from collections.abc import Iterable


def suggest(name: object, choices: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest choice where there is one, and all of them.

    >>> suggest("sgdd", ["sgd", "adam"]), suggest("x", ["sgd", "adam"])
    ("did you mean 'sgd'? there are sgd, adam", 'there are sgd, adam')
    """
    import difflib  # here, since only errors need it

    known = list(choices)
    near = difflib.get_close_matches(name, known, n=1) if isinstance(name, str) else []
    return (f"did you mean {near[0]!r}? " if near else "") + f"there are {', '.join(known)}"


class TreadleError(ValueError):
    """Base of all errors about what was given; the command line prints the message alone and exits with code 2."""


class ShapeError(TreadleError):
    """Shapes that do not fit together; the message names the op or layer and both shapes.

    Args:
        reason: what was expected and found, and the fix.
        path: of the layer at fault, from the names of the modules around it; empty where it is not known yet.
        layer: what that layer is.
    """

    def __init__(self, reason: str, path: str = "", layer: str = "") -> None:
        super().__init__(f"layer {path}, {layer}: {reason}" if path else reason)
        self.reason, self.path, self.layer = reason, path, layer

    def inside(self, name: str, layer: str) -> "ShapeError":
        """Return the error as a network around tells it, which calls the module at fault, or that around it, by name.

        >>> print(ShapeError("no image").inside("conv2d1", "Conv2d(8, 3)").inside("residual2", "Residual(…)"))
        layer residual2.conv2d1, Conv2d(8, 3): no image
        """
        return ShapeError(self.reason, f"{name}.{self.path}" if self.path else name, self.layer or layer)


class DtypeError(TreadleError):
    """Number types that do not fit together; nothing is promoted in silence."""


class GradientError(TreadleError):
    """A gradient that cannot be computed, or that a check found wrong."""


class LossError(TreadleError):
    """Predictions and targets that the loss cannot compare."""


class DataError(TreadleError):
    """Data that cannot be read or is not what it should be; the message names file and row, field or offset."""


class RecipeError(TreadleError):
    """A recipe with an unknown key, a wrong type or an impossible value; the message names the line."""


class MemoryLimitError(TreadleError):
    """A network or data that needs more memory than the machine has, refused before it is allocated."""


class TrainingError(TreadleError):
    """Training that cannot go on, such as a loss that is no longer finite."""


class RunError(TreadleError):
    """A run folder that is missing, incomplete or damaged."""


class WorkerError(TreadleError):
    """A thread or process that reads data was ended, or gives no answer."""
