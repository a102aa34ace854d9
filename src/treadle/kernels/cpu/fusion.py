"""Operations that are done in one pass over memory where they follow each other in a recording.

The results are the same to the bit: a ReLU after a convolution is taken before the sums are stored, and the gradient
of a ReLU before a pooling while that of the pooling is spread.
"""

from __future__ import annotations

from treadle.kernels.cpu.calls import Array, is_batch_last
from treadle.kernels.record import Entry


def fuse(entries: list[Entry]) -> list[Entry]:
    """Return the entries with pairs of them fused, each at the place of the second."""
    fused: list[Entry | None] = list(entries)
    for place, second in enumerate(entries):
        if second.name not in ("relu", "relu_gradient"):
            continue
        before = [i for i, entry in enumerate(fused[:place]) if entry is not None and entry.out is second.operands[0]]
        first = fused[before[0]] if before else None
        if first is None or _uses(entries, first.out) != 1:
            continue
        convolution = first.name == "conv2d" and second.name == "relu" and is_batch_last(second.out)
        pooling = first.name == "max_pool2d_gradient" and second.name == "relu_gradient"
        if convolution or (pooling and first.operands[2] is second.operands[1]):
            settings = {**first.settings, "relu": True}
            fused[before[0]] = None
            fused[place] = Entry(first.name, first.function, first.operands, settings, first.out, []).into(second.out)
    return [entry for entry in fused if entry is not None]


def _uses(entries: list[Entry], array: Array) -> int:
    return sum(operand is array for entry in entries for operand in entry.operands)
