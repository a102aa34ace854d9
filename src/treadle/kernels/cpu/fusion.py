"""Operations that are done in one pass over memory where they follow each other in a recording.

The results are the same to the bit: a ReLU after a convolution is taken before the sums are stored, and the gradient
of a ReLU before a pooling while that of the pooling is spread.
"""

from __future__ import annotations

import numpy as np

from treadle.kernels.buffers import flat
from treadle.kernels.cpu.calls import Array, Calls, batch_last, chosen, is_batch_last, planes
from treadle.kernels.cpu.elementwise import cross_entropy_gradient_of
from treadle.kernels.cpu.fused import convolve_pool, correlate_pooled, scatter
from treadle.kernels.cpu.normalization import (
    normalize,
    normalize_gradient,
    normalize_gradient_parallel,
    normalize_parallel,
)
from treadle.kernels.record import Entry


def fuse(entries: list[Entry]) -> list[Entry]:
    """Return the entries with those that follow each other fused, each at the place of the last."""
    return _with_loss(_with_normalization(_with_pooling(_with_relu(entries))))


def _with_loss(entries: list[Entry]) -> list[Entry]:
    """Cross-entropy, whose powers of e its gradient takes as well."""
    fused = list(entries)
    for place, second in enumerate(entries):
        if second.name != "cross_entropy_gradient":
            continue
        gradient, scores, labels = second.operands
        losses = [entry for entry in entries[:place] if entry.name == "cross_entropy" and entry.operands[0] is scores]
        if losses:
            parts = losses[0].calls[-1][1][0]  # what the last call of a loss reads
            call = (cross_entropy_gradient_of, (gradient, labels, parts, second.out))
            fused[place] = Entry(second.name, second.function, second.operands, {}, second.out, [call])
    return fused


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
        call = convolve_pool(first.calls[-1], pool.out, places, size)
        if call is None:
            continue
        fused[makers[0]] = None
        fused[place] = Entry(
            "conv2d_max_pool2d", first.function, first.operands, {}, pool.out, [*first.calls[:-1], call]
        )
        if backward is not None:
            calls: Calls = []
            g = batch_last(backward.operands[0], calls)
            totals = np.empty(backward.out.shape[1:3], np.float64)
            needed = _users(entries, backward.out)
            for entry in needed:  # the bias is summed from the totals of the rows
                if entry.name == "sum" and len(entry.calls) == 2:
                    entry.calls[:] = [(entry.calls[1][0], (totals, entry.calls[1][1][1]))]
                    needed = [other for other in needed if other is not entry]
            last = needed[0] if len(needed) == 1 and needed[0].name == "conv2d_weight_gradient" else None
            if last is not None and last.operands[1] is not first.operands[0]:
                last = None  # its input may not be there yet
            spread = correlate_pooled(last.calls[-1], g, places, totals, size) if last is not None else None
            number = _place(entries, backward)
            if last is None or spread is None:
                calls.append(scatter(g, places, backward.out, totals, size))
                fused[number] = Entry("max_pool2d_scatter", scatter, backward.operands[:1], {}, backward.out, calls)
            else:
                fused[_place(entries, last)] = None
                calls += [*last.calls[:-1], spread]
                read = (backward.operands[0], last.operands[1])
                fused[number] = Entry("conv2d_pooled_weight_gradient", last.function, read, {}, last.out, calls)
    return [entry for entry in fused if entry is not None]


def _with_normalization(entries: list[Entry]) -> list[Entry]:
    """Standardize → multiply → add (→ ReLU) over the channels of images, and the gradients of all of them."""
    fused: list[Entry | None] = list(entries)

    def single(array: Array, name: str, among: list[Entry] | None = None) -> Entry | None:
        users = _users(entries, array) if among is None else among
        found = [user for user in users if user.name == name]
        return found[0] if len(found) == 1 else None

    for first in entries:
        if first.name != "standardize" or first.settings["axes"] != (0, 2, 3) or not is_batch_last(first.operands[0]):
            continue
        x, y, epsilon = first.operands[0], first.out, first.settings["epsilon"]
        backward, users = single(y, "standardize_gradient"), _users(entries, y)
        products = [user for user in users if user.name == "multiply"]
        scaled = next((p for p in products if p.operands[0] is y and p.operands[1].shape == (x.shape[1], 1, 1)), None)
        added = single(scaled.out, "add") if scaled is not None else None
        if scaled is None or added is None or backward is None or len(users) != 3 or len(products) != 2:
            continue
        scale, shift = scaled.operands[1], added.operands[1]
        given = single(backward.operands[0], "multiply", [e for e in entries if e.out is backward.operands[0]])
        along = next(product for product in products if product is not scaled)
        last = added
        rectified = single(added.out, "relu")
        if rectified is not None and len(_users(entries, added.out)) == 1:
            last = rectified
        g = given.operands[0] if given is not None else None
        summed = [single(along.out, "sum"), single(g, "sum") if g is not None else None]
        fits = (
            given is not None
            and g is not None
            and given.operands[1] is scale
            and along.operands[0] is g
            and all(s is not None and s.settings["axis"] == (0, 2, 3) and len(s.calls) == 2 for s in summed)
            and all(len(_users(entries, e.out)) == 1 for e in (scaled, given, along))
            and getattr(shift, "shape", None) == (x.shape[1], 1, 1)
            and all(is_batch_last(array) for array in (y, last.out, backward.out, g))
        )
        if not fits or given is None or g is None:
            continue
        mask = single(g, "relu_gradient", [e for e in entries if e.out is g])
        relu = (
            mask is not None and mask.operands[1] is last.out and last is rectified and is_batch_last(mask.operands[0])
        )
        relu = relu and len(_users(entries, g)) == 3
        variances, rows = np.empty(x.shape[1], np.float64), np.empty((2, *x.shape[1:3]), np.float64)
        views = [
            planes(a) for a in (x, y, last.out, mask.operands[0] if relu and mask is not None else g, backward.out)
        ]
        forward = chosen(normalize, normalize_parallel, 64 * x.size)
        call = (
            forward,
            (
                views[0],
                scale.reshape(-1),
                shift.reshape(-1),
                last is rectified,
                epsilon,
                views[1],
                variances,
                views[2],
            ),
        )
        gradient = chosen(normalize_gradient, normalize_gradient_parallel, 64 * x.size)
        back = (
            gradient,
            (views[3], views[2], relu, scale.reshape(-1), views[1], variances, epsilon, views[4], *rows),
        )
        for entry in (first, scaled, added, given, along, mask if relu else None):
            if entry is not None:
                fused[_place(entries, entry)] = None
        fused[_place(entries, last)] = Entry("normalize", normalize, (x, scale, shift), {}, last.out, [call])
        # the first that needs what the backward pass gives comes before the others
        places = [_place(entries, entry) for entry in (given, along, *summed, backward) if entry]
        fused[_place(entries, backward)] = None
        fused[min(places)] = Entry("normalize_gradient", normalize_gradient, (g, y, scale), {}, backward.out, [back])
        for entry, totals in zip(summed, rows, strict=True):
            assert entry is not None
            calls = [(entry.calls[1][0], (totals, entry.calls[1][1][1]))]
            place = _place(entries, entry)
            after = Entry("sum", entry.function, (), {}, entry.out, calls)
            if place == min(places):
                made = fused[place]
                assert made is not None
                made.calls += calls
            else:
                fused[place] = after
    return [entry for entry in fused if entry is not None]


def _place(entries: list[Entry], entry: Entry) -> int:
    return next(number for number, other in enumerate(entries) if other is entry)


def _users(entries: list[Entry], array: Array) -> list[Entry]:
    return [entry for entry in entries if any(operand is array for operand in flat(entry.operands))]
