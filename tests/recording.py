"""Functions recorded with their gradients and run again on other numbers, against the same done anew, to the bit."""

import numpy as np

import treadle as td
from treadle import kernels
from treadle.autodiff.tape import gradients
from treadle.kernels.record import Recorder


def compute(function, arrays, put, wrap=lambda array: array, data=0):
    """Forward and backward through a function of tensors, the first of them data; `put` gets output and gradients."""
    tensors = [td.Tensor(wrap(array), requires_grad=number >= data) for number, array in enumerate(arrays)]
    out = function(*tensors)
    put(0, out.data)
    if out.requires_grad:
        direction = np.cos(np.arange(out.size) + 1.0).reshape(out.shape).astype(out.dtype)
        for number, (_, g) in enumerate(gradients(out, tensors[data:], direction), data + 1):
            put(number, g)


def record(function, arrays, k, data=0):
    """Return the recorder, the recording, and where the results go."""
    recorder, places = Recorder(k, arrays), {}

    def put(number, value):
        shape, dtype = (arrays[number - 1].shape, arrays[number - 1].dtype) if number else (value.shape, value.dtype)
        places[number] = np.full(shape, 77, dtype)
        recorder.result(value, places[number])

    with kernels.use(recorder), np.errstate(all="ignore"):
        compute(function, arrays, put, recorder.recorded, data)
    with np.errstate(all="ignore"):
        return recorder, recorder.finish(), places


def require_same(function, arrays, k, data=0):
    """Run a recording on the numbers it was made with and on others; fail unless all results are those of the tape."""
    recorder, recording, places = record(function, arrays, k, data)
    memory = kernels.aligned_empty((recording.size,), np.uint8)
    calls = recording.calls(memory)
    for change in range(3):
        memory[...] = np.random.default_rng(change).integers(0, 256, memory.size)  # what another recording leaves
        for number, array in enumerate(arrays if change else ()):
            array[...] = np.roll(array, number + change) if array.size > 1 else array * 0.75
        with np.errstate(all="ignore"):
            for call, arguments in calls:
                call(*arguments)
            wanted = {}
            with kernels.use(k):
                compute(function, arrays, wanted.__setitem__, data=data)
        for number, place in places.items():
            value = np.zeros_like(place) if wanted[number] is None else wanted[number]
            np.testing.assert_array_equal(place, value, err_msg=f"result {number}, numbers {change}")
    return [entry.name for entry in getattr(k, "fuse", list)(recorder.entries())]


def numbers(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)
