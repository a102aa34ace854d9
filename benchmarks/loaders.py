"""Contenders of loading.py, and what the process of one does: check an epoch, time more of them, print JSON."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FEATURES, GROUP, WIDEST = 100, 50_000, 100.0  # columns, rows of a row group, and what they are scaled by
Batches = Iterator[tuple[Any, Any]]
Epochs = Callable[[int], Batches]


class Task(NamedTuple):
    """What is loaded: title, samples in a batch, seconds of whole epochs, seconds after which one is cut."""

    title: str
    batch: int
    seconds: float
    limit: float


TASKS = {
    "mnist": Task("MNIST in memory", 100, 2, 20),
    "images": Task("A folder of PNG files", 100, 2, 20),
    "parquet": Task("A Parquet file larger than memory", 1_000, 0, 10),
}


# Contenders. Each is a function that gets a folder of data, the number of workers and what sets it apart, and returns
# one of the number of an epoch that returns its batches: inputs (B, …) as float32 from 0 to 1, labels (B,) as int64.


def treadle(task: str, folder: Path, workers: int, kind: str = "thread") -> Epochs:
    """`td.data.batches`; processes stay from epoch to epoch, as in `td.fit`."""
    import treadle as td
    from treadle.data.order import order_of

    factor, batch = np.array([1 / 255]), TASKS[task].batch
    if task == "mnist":
        names = tuple("0123456789")
        data = td.data.Dataset(np.load(folder / "images.npy"), np.load(folder / "labels.npy"), names, "train")
    elif task == "images":
        data = td.data.load_image_folder(folder / "images", stream=True).train
    else:
        split = td.data.RandomSplit(validation=0.002, test=0.002)
        data = td.data.load_parquet(folder / "rows.parquet", classes=True, split=split, stream=True).train
        factor = np.full(FEATURES, 1 / WIDEST)
        np.save(folder / "labels-treadle.npy", data.targets)  # of the part that is loaded
    order, scale = order_of(data, seed=0), td.data.FittedScale("minmax", np.zeros_like(factor), factor)
    ahead = td.data.Prefetch(4 * workers, max(workers, 1), kind, 60.0)
    if kind == "thread":
        return lambda n: (made[:2] for made in td.data.batches(data, order.indices(n), batch, scale, prefetch=ahead))
    maker = td.data.BatchMaker(data, scale, np.dtype(np.float32))
    reading = td.data.Reading(maker, batch, ahead).__enter__()

    def epoch(number: int) -> Batches:
        indices = order.indices(number)
        parts = [indices[begin : begin + batch] for begin in range(0, len(indices), batch)]
        reading.begin(parts, number)
        for part in parts:
            inputs, targets = np.empty((len(part), *data.shape), np.float32), np.empty(len(part), np.int64)
            reading.next(inputs, targets)
            yield inputs, targets

    return epoch


def torch(task: str, folder: Path, workers: int, how: str = "samples") -> Epochs:
    """`torch.utils.data.DataLoader`, with workers that stay from epoch to epoch."""
    import torch
    from torch.utils import data as td

    torch.set_num_threads(1)
    batch = TASKS[task].batch
    kept = {"num_workers": workers, "persistent_workers": workers > 0}
    if task == "parquet":

        class Rows(td.IterableDataset):
            def __iter__(self) -> Iterator[Any]:
                worker = td.get_worker_info()
                begin, step = (worker.id, worker.num_workers) if worker else (0, 1)
                seed = torch.initial_seed() - begin  # of the epoch, the same in all workers
                for inputs, labels in windows(folder, seed, begin, step):
                    if how == "samples":
                        yield from zip(torch.from_numpy(inputs), torch.from_numpy(labels), strict=True)
                    else:
                        yield from whole(inputs, labels, batch)

        loader = td.DataLoader(Rows(), batch_size=batch if how == "samples" else None, **kept)
        return lambda _: iter(loader)
    if task == "images":
        from PIL import Image

        files, classes, mode = png_files(folder)

        class Files(td.Dataset):
            def __len__(self) -> int:
                return len(files)

            def __getitem__(self, index: int) -> Any:
                with Image.open(files[index]) as image:
                    pixels = np.array(image.convert(mode))
                pixels = torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)
                return pixels.contiguous().to(torch.float32).div(255), int(classes[index])

        loader = td.DataLoader(Files(), batch_size=batch, shuffle=True, **kept)
        return lambda _: iter(loader)
    images, labels = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("images", "labels"))

    class Scaling(td.Dataset):
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, index: Any) -> Any:
            return images[index].to(torch.float32).div_(255), labels[index]

    def by_hand(_: int) -> Batches:
        for chosen in torch.randperm(len(labels)).split(batch):
            yield images[chosen].to(torch.float32).div_(255), labels[chosen]

    if how == "by hand":
        return by_hand
    if how == "batches":
        sampler = td.BatchSampler(td.RandomSampler(Scaling()), batch, drop_last=False)
        loader = td.DataLoader(Scaling(), sampler=sampler, batch_size=None, **kept)
    else:
        samples = td.TensorDataset(images.to(torch.float32) / 255, labels) if how == "tensors" else Scaling()
        loader = td.DataLoader(samples, batch_size=batch, shuffle=True, **kept)
    return lambda _: iter(loader)


def tensorflow(task: str, folder: Path, workers: int, how: str = "samples") -> Epochs:  # noqa: ARG001
    """`tf.data`, whose threads are those that AUTOTUNE chooses."""
    import tensorflow as tf

    auto, batch = tf.data.AUTOTUNE, TASKS[task].batch

    def scaled(inputs: Any, labels: Any) -> Any:
        return tf.cast(inputs, tf.float32) / (WIDEST if task == "parquet" else 255.0), labels

    if task == "mnist":
        arrays = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
        data = tf.data.Dataset.from_tensor_slices(arrays).shuffle(len(arrays[1]))
        data = data.map(scaled, auto).batch(batch) if how == "samples" else data.batch(batch).map(scaled, auto)
    elif task == "images":
        files, classes, mode = png_files(folder)
        data = tf.data.Dataset.from_tensor_slices(([str(path) for path in files], classes)).shuffle(len(files))
        channels = 1 if mode == "L" else 3
        data = data.map(lambda path, label: (tf.io.decode_png(tf.io.read_file(path), channels), label), auto)
        data = data.batch(batch).map(scaled, auto)
    else:
        spec = tf.TensorSpec((None, FEATURES), tf.float32), tf.TensorSpec((None,), tf.int64)
        seeds = itertools.count()

        def made() -> Iterator[Any]:
            for inputs, labels in windows(folder, next(seeds), shuffled=how == "batches", scale=False):
                yield from whole(inputs, labels, batch) if how == "batches" else [(inputs, labels)]

        data = tf.data.Dataset.from_generator(made, output_signature=spec)
        if how == "samples":
            data = data.unbatch().shuffle(GROUP).batch(batch)
        data = data.map(scaled, auto)
    data = data.prefetch(auto)
    return lambda _: iter(data)


def grain(task: str, folder: Path, workers: int, how: str = "samples") -> Epochs:
    """Grain's MapDataset, repeated, so that its workers stay from epoch to epoch."""
    import grain
    from absl import flags
    from grain import experimental

    flags.FLAGS(sys.argv[:1])  # workers of Grain want them read
    batch = TASKS[task].batch
    options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)  # as it says for data in memory
    many = grain.MultiprocessingOptions(num_workers=workers)
    if task == "parquet":
        if how == "samples":
            names = [f"x{n}" for n in range(FEATURES)]
            rows = experimental.ParquetIterDataset(str(folder / "rows.parquet"))
            rows = experimental.WindowShuffleIterDataset(rows, window_size=GROUP, seed=0)
            rows = rows.map(lambda row: (np.array([row[name] for name in names]) / np.float32(WIDEST), row["y"]))
            return lambda _: iter(rows.batch(batch))

        class Groups(experimental.FlatMapTransform):
            max_fan_out = GROUP // batch

            def flat_map(self, group: Any) -> Any:
                inputs, labels = next(windows(folder, int(group), only=int(group)))
                return list(whole(inputs, labels, batch))

        with parquet_file(folder) as file:
            count = file.num_row_groups
        data = grain.MapDataset.range(count).shuffle(seed=0).repeat().to_iter_dataset(options)
        data = experimental.FlatMapIterDataset(data, Groups())
        steps = count * GROUP // batch
    else:
        if task == "mnist":
            images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")

            def read(index: Any) -> Any:
                return images[index] * np.float32(1 / 255), labels[index]
        else:
            from PIL import Image

            files, labels, mode = png_files(folder)
            options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=200) if not workers else options

            def read(index: int) -> Any:
                with Image.open(files[index]) as image:
                    pixels = np.array(image.convert(mode))
                pixels = pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)
                return pixels * np.float32(1 / 255), labels[index]

        data = grain.MapDataset.range(len(labels)).shuffle(seed=0).repeat()
        data = data.map(read).batch(batch) if how == "samples" else data.batch(batch).map(read)
        data, steps = data.to_iter_dataset(options), -(-len(labels) // batch)
    iterator = iter(data.mp_prefetch(many) if workers else data)
    return lambda _: itertools.islice(iterator, steps)


def png_files(folder: Path) -> tuple[list[Path], np.ndarray, str]:
    """Files of images, their labels (N,), and the mode of Pillow to read them in."""
    files = sorted((folder / "images" / "train").glob("*/*.png"))
    return files, np.array([int(path.parent.name) for path in files]), (folder / "mode").read_text()


def parquet_file(folder: Path) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(folder / "rows.parquet")


def windows(
    folder: Path, seed: int, begin: int = 0, step: int = 1, shuffled: bool = True, scale: bool = True, only: int = -1
) -> Batches:
    """Rows and labels of a row group, in random order, and then of the next: every `step`-th of them, or one `only`."""
    draws = np.random.default_rng(seed)
    with parquet_file(folder) as file:
        groups = draws.permutation(file.num_row_groups)[begin::step] if only < 0 else [only]
        for group in groups:
            rows = next(file.iter_batches(GROUP, row_groups=[int(group)]))
            chosen = draws.permutation(len(rows)) if shuffled else slice(None)
            labels = rows["y"].to_numpy()[chosen]
            inputs = np.stack([rows[f"x{n}"].to_numpy() for n in range(FEATURES)], axis=1)[chosen]
            del rows
            if scale:
                inputs *= np.float32(1 / WIDEST)
            yield inputs, labels


def whole(inputs: Any, labels: Any, batch: int) -> Batches:
    return ((inputs[at : at + batch], labels[at : at + batch]) for at in range(0, len(labels), batch))


def several(name: str, made: Any, counts: list[int], *settings: Any) -> dict[str, tuple[Any, ...]]:
    return {f"{name}, {count} workers": (made, count, *settings) for count in counts}


OWN = "treadle"
CONTENDERS: dict[str, dict[str, tuple[Any, ...]]] = {
    "mnist": {
        OWN: (treadle, 0),
        "treadle, 1 thread": (treadle, 1),
        "treadle, 2 threads": (treadle, 2),
        **several("torch, TensorDataset", torch, [0, 2, 4], "tensors"),
        **several("torch, Dataset that scales", torch, [0, 2, 4]),
        **several("torch, whole batches", torch, [0, 2], "batches"),
        "torch, randperm without DataLoader": (torch, 0, "by hand"),
        "tf.data, map, batch": (tensorflow, 0),
        "tf.data, batch, map": (tensorflow, 0, "batches"),
        **several("grain, map, batch", grain, [0, 2, 4]),
        **several("grain, batch, map", grain, [0, 2], "batches"),
    },
    "images": {
        OWN: (treadle, 0),
        "treadle, 2 threads": (treadle, 2),
        "treadle, 4 threads": (treadle, 4),
        "treadle, 2 processes": (treadle, 2, "process"),
        **several("torch", torch, [0, 2, 4]),
        "tf.data": (tensorflow, 0),
        **several("grain", grain, [0, 2, 4]),
    },
    "parquet": {
        OWN: (treadle, 0),
        "treadle, 2 threads": (treadle, 2),
        "treadle, 2 processes": (treadle, 2, "process"),
        **several("torch, rows", torch, [0, 2]),
        **several("torch, whole batches", torch, [0, 2, 4], "batches"),
        "tf.data, rows": (tensorflow, 0),
        "tf.data, whole batches": (tensorflow, 0, "batches"),
        "grain, ParquetIterDataset": (grain, 0),
        **several("grain, whole batches", grain, [0, 2, 4], "batches"),
    },
}
LIBRARIES = {treadle: "treadle", torch: "torch", tensorflow: "tensorflow", grain: "grain"}


# What a process does.


def child(task: str, name: str, data: str, quick: bool, check: bool = False, timed: bool = False) -> dict[str, Any]:
    """Check an epoch, then time more of them."""
    folder = Path(data)
    made, workers, *settings = CONTENDERS[task][name]
    begun = time.perf_counter()
    importlib.import_module(LIBRARIES[made])
    imported = time.perf_counter()
    epochs = made(task, folder, workers, *settings)
    ready = time.perf_counter()
    found: dict[str, Any] = {"import_seconds": imported - begun, "build_seconds": ready - imported}
    numbers = itertools.count()
    if check:
        found["first_batch_seconds"] = checked(epochs(next(numbers)), task, folder, made is treadle)
    if timed:
        count, spent, goal = 0, 0.0, 0.1 if quick else TASKS[task].seconds
        begun = time.perf_counter()
        while not count or (spent < goal and spent < TASKS[task].limit):
            for _, labels in epochs(next(numbers)):
                count += len(labels)
                spent = time.perf_counter() - begun
                found.setdefault("first_batch_seconds", spent)
                if spent > TASKS[task].limit:
                    break
        found |= {"samples": count, "seconds": spent, "rate": count / spent}
    return found


def checked(batches: Batches, task: str, folder: Path, own: bool) -> float:
    """Assert that an epoch has every sample once, as it should be; return the seconds to its first batch."""
    begun, first, seen, pixels, mixed = time.perf_counter(), 0.0, [], 0.0, 0.0
    expected = json.loads((folder / "expected.json").read_text())
    labels_of = folder / ("labels-treadle.npy" if own and task == "parquet" else "labels.npy")
    for inputs, labels in batches:
        first = first or time.perf_counter() - begun
        inputs, labels = np.asarray(inputs), np.asarray(labels)
        assert inputs.dtype == np.float32, inputs.dtype
        assert labels.dtype == np.int64, labels.dtype
        assert len(inputs) == len(labels) <= TASKS[task].batch, (inputs.shape, labels.shape)
        assert sorted(inputs.shape[1:]) == expected["shape"], inputs.shape
        assert inputs.min() >= 0, inputs.min()
        assert inputs.max() <= 1.000001, inputs.max()
        means = inputs.reshape(len(inputs), -1).mean(axis=1, dtype=np.float64)
        pixels, mixed = pixels + means.sum(), mixed + (means * labels).sum()
        seen.append(labels)
    found, wanted = np.concatenate(seen), np.load(labels_of)
    assert np.array_equal(np.bincount(found), np.bincount(wanted)), (len(found), found.sum(), wanted.sum())
    assert (found[:500] != wanted[:500]).any(), "not shuffled"
    for value, name in ((pixels, "mean"), (mixed, "mixed")):  # inputs, and inputs with their labels
        assert abs(value / len(found) / expected[name] - 1) < 1e-3, (name, value / len(found), expected[name])
    return first


def main() -> int:
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # for libraries print what they like
    try:
        found = child(**json.loads(sys.argv[1]))
    except Exception as error:
        traceback.print_exc()
        found = {"error": f"{type(error).__name__}: {error}"}
    replies.write(json.dumps(found))
    replies.flush()
    os._exit(0)  # workers that stay are ended by the program


if __name__ == "__main__":
    main()
