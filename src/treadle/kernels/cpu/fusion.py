"""Operations that are done in one pass over memory where they follow each other in a recording.

The results are the same to the bit: a ReLU after a convolution is taken before the sums are stored, and the gradient
of a ReLU before a pooling while that of the pooling is spread.
"""

from __future__ import annotations

import numpy as np

from treadle.kernels.cpu.calls import Array, Calls, batch_last, is_batch_last
from treadle.kernels.cpu.fused import convolve_pool, scatter
from treadle.kernels.record import Entry


def fuse(entries: list[Entry]) -> list[Entry]:
    """Return the entries with those that follow each other fused, each at the place of the last."""
    return _with_pooling(_with_relu(entries))


def _with_relu(entries: list[Entry]) -> list[Entry]:
    """Convolution → ReLU, and gradient of a pooling → gradient of the ReLU before it."""
    fused: list[Entry | None] = list(entries)
    for place, second in enumerate(entries):
        if second.name not in ("relu", "relu_gradient"):
            continue
        before = [i for i, entry in enumerate(fused[:place]) if entry is not None and entry.out is second.operands[0]]
        first = fused[before[0]] if before else None
        if first is None or len(_users(entries, first.out)) != 1:
            continue
        convolution = first.name == "conv2d" and second.name == "relu" and is_batch_last(second.out)
        pooling = first.name == "max_pool2d_gradient" and second.name == "relu_gradient"
        if convolution or (pooling and first.operands[2] is second.operands[1]):
            settings = {**first.settings, "relu": True}
            fused[before[0]] = None
            fused[place] = Entry(first.name, first.function, first.operands, settings, first.out, []).into(second.out)
    return [entry for entry in fused if entry is not None]


def _with_pooling(entries: list[Entry]) -> list[Entry]:
    """Convolution → max pooling whose windows tile the image, with the gradient of the pooling."""
    fused: list[Entry | None] = list(entries)
    for place, pool in enumerate(entries):
        makers = [i for i, entry in enumerate(entries[:place]) if pool.operands and entry.out is pool.operands[0]]
        if pool.name != "max_pool2d" or not makers:
            continue
        first = entries[makers[0]]
        size, (height, width) = pool.settings["size"], first.out.shape[2:]
        tiled = pool.settings["stride"] == size and pool.settings["padding"] == (0, 0)
        users = [user for user in _users(entries, first.out) if user is not pool]
        backward = users[0] if users else None
        relu = bool(first.settings.get("relu"))
        if (
            first.name != "conv2d"
            or first.settings["groups"] != 1
            or not (tiled and height % size[0] == 0 and width % size[1] == 0 and size[0] * size[1] < 255)
            or not first.out.size
            or len(users) > 1
            or (backward is not None and backward.name != "max_pool2d_gradient")
            or (backward is not None and bool(backward.settings.get("relu")) != relu)
        ):
            continue
        places = np.empty((*pool.out.shape[1:], len(pool.out)), np.uint8)
        call = convolve_pool(first.calls[-1][1], pool.out, places, size)
        fused[makers[0]] = None
        fused[place] = Entry("conv2d_max_pool2d", first.function, first.operands, {}, pool.out, [*first.calls[:-1], call])
        call[0](*call[1])
        if backward is not None:
            calls: Calls = []
            g = batch_last(backward.operands[0], calls)
            totals = np.empty(backward.out.shape[1:3], np.float64)
            calls.append(scatter(g, places, backward.out, totals, size))
            calls[-1][0](*calls[-1][1])
            for entry in entries:  # the bias is summed from the totals of the rows
                if entry.name == "sum" and entry.operands[0] is backward.out and len(entry.calls) == 2:
                    entry.calls[:] = [(entry.calls[1][0], (totals, entry.calls[1][1][1]))]
            number = next(i for i, entry in enumerate(entries) if entry is backward)
            fused[number] = Entry("max_pool2d_scatter", scatter, backward.operands[:1], {}, backward.out, calls)
    return [entry for entry in fused if entry is not None]


def _users(entries: list[Entry], array: Array) -> list[Entry]:
    return [entry for entry in entries if any(operand is array for operand in entry.operands)]
