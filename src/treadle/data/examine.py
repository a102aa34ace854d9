"""A thorough look at data before any training: what is odd about its features, its labels and its sets."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Dataset, Sets, class_counts
from treadle.data.validity import Finding, check

SHOWN = 5  # rows and names that a finding lists
FAR = 10.0  # interquartile ranges beyond a quartile, from which on a value is an outlier
MARKER = 0.01  # share of rows with one extreme value that is far from all others
IMBALANCE = 10.0  # largest class by smallest
RARE = 10  # samples of a class
GIVES_AWAY = 0.995  # accuracy, or squared correlation, of one feature alone
SHIFT = 0.5  # standard deviations between the means of two sets
NEAR = 0.01  # root mean square difference of near duplicates, in standard deviations of the data
EXAMINED = 20_000  # rows that quartiles and single features are taken from


def examine(sets: Sets) -> list[Finding]:
    """Find what is wrong or odd about data: `check`, and for data without errors everything below.

    Samples: exact and near duplicates, the same sample in two sets, other labels for the same inputs, images of one
    colour. Features: constant, twice the same, row numbers, outliers, codes for missing values, one that gives the
    target away, more features than samples. Classes: rare, of very different sizes, in one set alone. Sets: other
    ranges or means than in training.

    Returns:
        Findings, errors first; none for data without fault.

    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> rows = Dataset(np.c_[x, np.ones(60)], np.arange(60) % 2, ("a", "b"), "train")
    >>> [finding.message for finding in examine(Sets(rows[:20], rows[20:40], rows[40:], "rows", "made up"))]
    ['1 of 3 features are constant: 2']
    """
    findings = check(sets)
    if any(finding.severity == "error" for finding in findings):
        return findings
    findings += [*_samples(sets), *_near(sets), *_features(sets.train), *_classes(sets), *_between(sets)]
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: order[finding.severity])


def _rows(found: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(row) for row in found[:SHOWN])


def _flat(part: Dataset) -> NDArray[Any]:
    return np.ascontiguousarray(part.inputs).reshape(len(part), -1)


def _samples(sets: Sets) -> Iterator[Finding]:
    """Exact duplicates, within sets and between them, and what labels they have; images of one colour."""
    parts = list(sets.parts().items())
    flat = np.concatenate([_flat(part) for _, part in parts])
    targets = np.concatenate([part.targets for _, part in parts])
    belongs = np.repeat(np.arange(3), [len(part) for _, part in parts])
    begins = np.cumsum([0, *(len(part) for _, part in parts)])
    same = _groups(flat)
    several = np.bincount(same)[same] > 1
    for number, (name, part) in enumerate(parts):
        mine = np.flatnonzero(several & (belongs == number))
        first: dict[int, int] = {}
        again = [row - begins[number] for row in mine.tolist() if first.setdefault(int(same[row]), row) != row]
        if again:
            yield Finding(
                "warning",
                name,
                f"{len(again)} samples are exact duplicates of others in the set",
                _rows(np.array(again)),
                "remove them, unless samples come several times by their nature",
            )
        if part.inputs.ndim == 4:
            blank = np.flatnonzero(np.ptp(_flat(part), axis=1) == 0)
            if len(blank):
                yield Finding(
                    "warning",
                    name,
                    f"{len(blank)} images have one colour alone",
                    _rows(blank),
                    "look at them: is it so?",
                )
    for number in (1, 2):
        leaked = np.flatnonzero(several & (belongs == number) & np.isin(same, same[belongs < number]))
        if len(leaked):
            yield Finding(
                "warning",
                parts[number][0],
                f"{len(leaked)} samples are in {'train' if number == 1 else 'an earlier set'} as well",
                _rows(leaked - begins[number]),
                "remove them from one: a score on samples that were trained on says little about new ones",
            )
    order = np.flatnonzero(several)
    if sets.train.classes is not None and len(order):
        low, high = (np.full(same.max() + 1, limit) for limit in (np.iinfo(np.int64).max, np.iinfo(np.int64).min))
        np.minimum.at(low, same[order], targets[order])
        np.maximum.at(high, same[order], targets[order])
        odd = order[low[same[order]] != high[same[order]]]
        if len(odd):
            places = [f"{parts[belongs[row]][0]} {row - begins[belongs[row]]}" for row in odd[:SHOWN]]
            yield Finding(
                "warning",
                "data",
                f"{len(odd)} samples have the inputs of others and another label: {', '.join(places)}",
                (),
                "correct the labels, or add what tells such samples apart",
            )


def _groups(rows: NDArray[Any]) -> NDArray[np.int64]:
    """A number for each row, the same for equal rows."""
    rows = rows + 0 if rows.dtype.kind == "f" else rows  # −0 is 0
    as_bytes = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.unique(as_bytes, return_inverse=True)[1].astype(np.int64)


def _near(sets: Sets) -> Iterator[Finding]:
    """Samples that differ by next to nothing: found where random projections fall into one cell, then compared."""
    parts = list(sets.parts().items())
    flat = np.concatenate([_flat(part) for _, part in parts]).astype(np.float32)
    if flat.shape[1] < 2:
        return
    spreads = np.array([_flat(part).std(axis=0, dtype=np.float64) for _, part in parts])
    spread = np.where(spreads > 0, spreads, np.inf).min(axis=0)  # an outlier of one set, or another unit, counts less
    used = np.isfinite(spread)
    if not used.any():
        return
    scaled = (
        (flat[:, used] - flat[:, used].mean(axis=0)) / (spread[used] if sets.train.inputs.ndim == 2 else 1)
    ).astype(np.float32)
    unit = 1.0 if sets.train.inputs.ndim == 2 else float(np.sqrt(np.mean(spread[used] ** 2)))
    draws = np.random.default_rng(0)
    projected = (
        scaled @ draws.normal(size=(scaled.shape[1], 8)).astype(np.float32) / np.float32(np.sqrt(scaled.shape[1]))
    )
    pairs: set[tuple[int, int]] = set()
    for shift in (0.0, 1 / 3, 2 / 3):  # who is parted by an edge in one grid shares a cell of another
        cells = _groups(np.floor(projected / (20 * NEAR * unit) + shift).astype(np.int32))
        order = np.argsort(cells, kind="stable")
        for step in (1, 2, 3):
            before, after = order[:-step], order[step:]
            together = cells[before] == cells[after]
            pairs |= set(zip(before[together].tolist(), after[together].tolist(), strict=True))
    close = []
    for one, other in sorted(pairs):
        difference = float(np.sqrt(np.mean((scaled[one] - scaled[other]) ** 2)))
        if 0 < difference < NEAR * unit:
            close.append((one, other))
    if close:
        begins = np.cumsum([0, *(len(part) for _, part in parts)])

        def place(row: int) -> str:
            number = int(np.searchsorted(begins, row, side="right")) - 1
            return f"{parts[number][0]} {row - begins[number]}"

        shown = ", ".join(f"{place(one)} and {place(other)}" for one, other in close[:SHOWN])
        yield Finding(
            "warning",
            "data",
            f"{len(close)} pairs of samples are nearly the same: {shown}",
            (),
            "look at them: copies that were saved again, or scaled, count twice",
        )


def _features(train: Dataset) -> Iterator[Finding]:
    flat = _flat(train)
    images = train.inputs.ndim > 2
    low, high = flat.min(axis=0), flat.max(axis=0)
    constant = np.flatnonzero(low == high)
    if len(constant):
        what = "pixels" if images else "features"
        yield Finding(
            "note" if images else "warning",
            train.name,
            f"{len(constant)} of {flat.shape[1]} {what} are constant" + ("" if images else f": {_listed(constant)}"),
            (),
            "" if images else "leave them out: they tell nothing",
        )
    if images:
        return
    if len(train) < flat.shape[1]:
        yield Finding(
            "warning",
            train.name,
            f"there are {flat.shape[1]} features and {len(train)} samples",
            (),
            "a network can learn so few by heart: get more samples, leave features out, or regularise",
        )
    varied = np.flatnonzero(low != high)
    columns = _groups(np.ascontiguousarray(flat[:, varied].T)) if len(varied) else np.empty(0, np.int64)
    twice = [int(varied[n]) for n in range(len(varied)) if (columns[:n] == columns[n]).any()]
    if twice:
        yield Finding(
            "warning", train.name, f"features are copies of others: {_listed(np.array(twice))}", (), "leave them out"
        )
    whole = (flat == np.round(flat)).all(axis=0)
    numbers = [int(f) for f in varied if whole[f] and len(train) > 20 and len(np.unique(flat[:, f])) == len(train)]
    if numbers:
        yield Finding(
            "warning",
            train.name,
            f"features have another whole number in each sample: {_listed(np.array(numbers))}",
            (),
            "if they number the rows, leave them out: they say nothing about new samples",
        )
    step = -(-len(train) // EXAMINED)
    for feature in varied:
        yield from _extremes(train, flat[:, feature], int(feature))
        share = _alone(flat[::step, feature].astype(np.float64), train.targets[::step], train.classes)
        if share > GIVES_AWAY:
            tells = f"tells the target in {share:.1%} of samples"
            yield Finding(
                "warning",
                train.name,
                f"feature {feature} alone {tells if train.classes else f'explains {share:.1%} of the target'}",
                (),
                "if it is known only after the target is, leave it out: it will be missing when you predict",
            )


def _listed(features: NDArray[Any]) -> str:
    more = f" and {len(features) - SHOWN} more" if len(features) > SHOWN else ""
    return ", ".join(str(int(feature)) for feature in features[:SHOWN]) + more


def _extremes(train: Dataset, values: NDArray[Any], feature: int) -> Iterator[Finding]:
    """Outliers, and one extreme value that comes often, as codes for missing values do."""
    values = values.astype(np.float64)
    first, third = np.percentile(values, (25, 75))
    far = FAR * (third - first)
    if far == 0:
        return
    outside = np.flatnonzero((values < first - far) | (values > third + far))
    if not len(outside):
        return
    extreme, counts = np.unique(values[outside], return_counts=True)
    often = int(np.argmax(counts))
    if counts[often] >= max(3, MARKER * len(values)):
        rows = np.flatnonzero(values == extreme[often])
        yield Finding(
            "warning",
            train.name,
            f"feature {feature} is {extreme[often]:g} in {counts[often]} samples and else from "
            f"{values[values != extreme[often]].min():g} to {values[values != extreme[often]].max():g}",
            _rows(rows),
            "if that stands for a missing value, leave the field empty and state a policy with missing",
        )
        outside = outside[values[outside] != extreme[often]]
    if len(outside):
        yield Finding(
            "warning",
            train.name,
            f"feature {feature} has {len(outside)} outliers, such as {values[outside[0]]:g}; half of its values lie "
            f"from {first:g} to {third:g}",
            _rows(outside),
            "correct them if they are mistakes; otherwise scale by robust",
        )


def _alone(values: NDArray[np.float64], targets: NDArray[Any], classes: tuple[str, ...] | None) -> float:
    """How well a feature alone tells the target: accuracy of its bins on other samples, or squared correlation."""
    if len(values) < 20:
        return 0.0
    if classes is None:
        if np.std(targets) == 0:
            return 0.0
        return float(np.corrcoef(values, targets)[0, 1] ** 2)
    largest = np.bincount(targets).max() / len(targets)
    if largest > 0.95:
        return 0.0
    edges = np.unique(np.percentile(values[::2], np.linspace(0, 100, 65), method="nearest"))
    middles = (edges[1:] + edges[:-1]) / 2
    counts = np.zeros((len(middles) + 1, len(classes)))
    np.add.at(counts, (np.searchsorted(middles, values[::2]), targets[::2]), 1)
    guess = counts.argmax(axis=1)[np.searchsorted(middles, values[1::2])]
    return float(np.mean(guess == targets[1::2]))


def _classes(sets: Sets) -> Iterator[Finding]:
    classes = sets.train.classes
    if classes is None:
        return
    counts = class_counts(sets.train, len(classes))
    rare = [f"{classes[c]} ({counts[c]})" for c in range(len(classes)) if 0 < counts[c] < RARE]
    if rare:
        yield Finding(
            "warning",
            "train",
            f"classes with fewer than {RARE} samples: {', '.join(rare[:SHOWN])}",
            (),
            "get more samples of them, or put such classes together",
        )
    known = counts[counts > 0]
    if len(known) > 1 and known.max() > IMBALANCE * known.min():
        yield Finding(
            "warning",
            "train",
            f"the largest class has {known.max() / known.min():.0f} times the samples of the smallest",
            (),
            "accuracy hides how the small ones do: look at each class, and weigh the loss by weights",
        )
    for name, part in (("validation", sets.validation), ("test", sets.test)):
        new = [classes[c] for c in np.flatnonzero((counts == 0) & (class_counts(part, len(classes)) > 0))]
        if new:
            yield Finding(
                "warning",
                name,
                f"classes that no training sample has: {', '.join(new[:SHOWN])}",
                (),
                "they cannot be learnt: split again, stratified",
            )


def _between(sets: Sets) -> Iterator[Finding]:
    """Sets whose values lie elsewhere than those of training."""
    train = _flat(sets.train)
    low, high = _most(train)
    per_feature = sets.train.inputs.ndim == 2
    mean, spread = (_moment(train, moment, per_feature) for moment in (np.mean, np.std))
    for name, part in (("validation", sets.validation), ("test", sets.test)):
        flat = _flat(part)
        below, above = _most(flat)
        span, other = high - low, above - below
        if other > 0 and span > 0 and not 0.1 < other / span < 10:
            yield Finding(
                "warning",
                name,
                f"most values lie from {below:g} to {above:g}, those of train from {low:g} to {high:g}",
                (),
                "bring all sets to one unit, such as 0 to 255 or 0 to 1",
            )
            continue
        enough = min(len(flat), len(train)) >= 30  # of fewer, means differ by chance
        away = np.abs(_moment(flat, np.mean, per_feature) - mean) / np.where(spread > 0, spread, np.inf)
        if enough and away.max() > SHIFT:
            feature = f"feature {int(away.argmax())} by " if per_feature else "by "
            yield Finding(
                "warning",
                name,
                f"features are far from those of train: {feature}{away.max():.2g} standard deviations",
                (),
                "take all sets from the same source, at the same time: split again, at random",
            )


def _most(flat: NDArray[Any]) -> tuple[float, float]:
    """Between which values 99 % of a million lie."""
    some = flat.ravel()[:: -(-flat.size // 1_000_000)]
    low, high = np.percentile(some, (0.5, 99.5))
    return float(low), float(high)


def _moment(flat: NDArray[Any], moment: Any, per_feature: bool) -> NDArray[np.float64]:
    return np.atleast_1d(moment(flat, axis=0 if per_feature else None, dtype=np.float64))
