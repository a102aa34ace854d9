"""What may be odd about features, classes and sets."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Dataset, Sets, class_counts
from treadle.data.sheet import feature_names
from treadle.data.validity import Finding

SHOWN = 5  # rows and names that a finding lists
FAR = 10.0  # interquartile ranges beyond a quartile, from which on a value is an outlier
MARKER = 0.01  # share of rows with one extreme value that is far from all others
IMBALANCE = 10.0  # largest class by smallest
RARE = 10  # samples of a class
GIVES_AWAY = 0.995  # accuracy, or squared correlation, of one feature alone
SHIFT = 0.5  # standard deviations between the means of two sets
EXAMINED = 20_000  # rows that quartiles and single features are taken from


def first_rows(found: NDArray[Any]) -> tuple[int, ...]:
    """Numbers of the first rows, for a finding."""
    return tuple(int(row) for row in found[:SHOWN])


def flattened(part: Dataset) -> NDArray[Any]:
    """The inputs of a set in rows (N, F), yes and no as 1 and 0."""
    flat = np.ascontiguousarray(part.inputs).reshape(len(part), -1)
    return flat.view(np.uint8) if flat.dtype == bool else flat


def groups(rows: NDArray[Any]) -> NDArray[np.int64]:
    """A number for each row, the same for equal rows."""
    rows = rows + 0 if rows.dtype.kind == "f" else rows  # −0 is 0
    as_bytes = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.unique(as_bytes, return_inverse=True)[1].astype(np.int64)


def odd_features(sets: Sets) -> Iterator[Finding]:
    """Constant features, copies, row numbers, outliers, codes for missing values, and what gives the target away."""
    train, names = sets.train, feature_names(sets)
    flat = flattened(train)
    images = train.inputs.ndim > 2
    low, high = flat.min(axis=0), flat.max(axis=0)
    constant = np.flatnonzero(low == high)
    if len(constant):
        what = "pixels" if images else "features"
        yield Finding(
            "note" if images else "warning",
            train.name,
            f"{len(constant)} of {flat.shape[1]} {what} are constant"
            + ("" if images else f": {_listed(names, constant)}"),
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
    columns = groups(np.ascontiguousarray(flat[:, varied].T)) if len(varied) else np.empty(0, np.int64)
    twice = [int(varied[n]) for n in range(len(varied)) if (columns[:n] == columns[n]).any()]
    if twice:
        yield Finding(
            "warning",
            train.name,
            f"features are copies of others: {_listed(names, np.array(twice))}",
            (),
            "leave them out",
        )
    whole = (flat == np.round(flat)).all(axis=0)
    total = sum(map(len, sets.parts().values()))
    numbers = [int(f) for f in varied if whole[f] and len(train) > 20 and _numbered(flat[:, f], total)]
    if numbers:
        yield Finding(
            "warning",
            train.name,
            f"features have another whole number in each sample: {_listed(names, np.array(numbers))}",
            (),
            "if they number the rows, leave them out: they say nothing about new samples",
        )
    step = -(-len(train) // EXAMINED)
    for feature in varied:
        yield from _extremes(train, flat[:, feature], names[feature])
        share = _alone(flat[::step, feature].astype(np.float64), train.targets[::step], train.classes)
        if share > GIVES_AWAY and len(varied) > 1:
            tells = f"tells the class of {share:.1%} of the samples of each"
            yield Finding(
                "warning",
                train.name,
                f"feature {names[feature]} alone {tells if train.classes else f'explains {share:.1%} of the target'}",
                (),
                "if it is known only after the target is, leave it out: it will be missing when you predict",
            )


def _numbered(values: NDArray[Any], total: int) -> bool:
    """Whether whole numbers may number the rows of all sets: each comes once, and they lie close together."""
    return len(np.unique(values)) == len(values) and float(values.max()) - float(values.min()) < 1.5 * total


def _listed(names: list[str], features: NDArray[Any]) -> str:
    more = f" and {len(features) - SHOWN} more" if len(features) > SHOWN else ""
    return ", ".join(names[int(feature)] for feature in features[:SHOWN]) + more


def _extremes(train: Dataset, values: NDArray[Any], feature: str) -> Iterator[Finding]:
    """Outliers, and one extreme value that comes often, as codes for missing values do."""
    values = values.astype(np.float64)
    kept = np.ones(len(values), bool)
    for extreme in (values.min(), values.max()):
        same = values == extreme
        rest = values[kept & ~same]
        if same.sum() < max(3, MARKER * len(values)) or len(rest) < 10:
            continue
        first, third = np.percentile(rest, (25, 75))
        if not 0 < FAR * (third - first) < max(first - extreme, extreme - third):
            continue
        kept &= ~same
        yield Finding(
            "warning",
            train.name,
            f"feature {feature} is {extreme:g} in {same.sum()} samples and else from {rest.min():g} to {rest.max():g}",
            first_rows(np.flatnonzero(same)),
            "if that stands for a missing value, leave the field empty and state a policy with missing",
        )
    first, third = np.percentile(values[kept], (25, 75))
    if first == third:  # most have one value: how far the others lie apart
        others = values[kept & (values != first)]
        if len(others) < 10:
            return
        first, third = np.percentile(others, (25, 75))
    far = FAR * (third - first)
    outside = np.flatnonzero(kept & ((values < first - far) | (values > third + far))) if far > 0 else np.empty(0, int)
    if len(outside):
        yield Finding(
            "warning",
            train.name,
            f"feature {feature} has {len(outside)} outliers, such as {values[outside[0]]:g}; half of its values lie "
            f"from {first:g} to {third:g}",
            first_rows(outside),
            "correct them if they are mistakes; otherwise scale by robust",
        )


def _alone(values: NDArray[np.float64], targets: NDArray[Any], classes: tuple[str, ...] | None) -> float:
    """How well a feature alone tells the target: mean accuracy over classes, or squared correlation, of ranks too."""
    if len(values) < 20:
        return 0.0
    if classes is None:
        if np.ptp(targets) == 0:
            return 0.0
        ranks = [np.argsort(np.argsort(one)).astype(np.float64) for one in (values, targets)]
        straight = np.corrcoef(values, targets)[0, 1] ** 2
        by_rank = np.corrcoef(ranks[0], ranks[1])[0, 1] ** 2 if len(np.unique(values)) > 10 else 0.0
        return float(max(straight, by_rank))
    edges = np.unique(np.percentile(values[::2], np.linspace(0, 100, 65), method="nearest"))
    middles = edges[1:] / 2 + edges[:-1] / 2
    counts = np.zeros((len(middles) + 1, len(classes)))
    np.add.at(counts, (np.searchsorted(middles, values[::2]), targets[::2]), 1)
    guess = counts.argmax(axis=1)[np.searchsorted(middles, values[1::2])]
    known = [label for label in range(len(classes)) if np.sum(targets[1::2] == label) >= 3]
    if len(known) < 2:
        return 0.0
    return float(np.mean([np.mean(guess[targets[1::2] == label] == label) for label in known]))  # each class alike


def odd_classes(sets: Sets) -> Iterator[Finding]:
    """One target alone, rare classes, classes of very different sizes, and those that training has not."""
    classes = sets.train.classes
    if len(np.unique(sets.train.targets)) == 1 and len(sets.train) > 1:
        only = f"{sets.train.targets[0]:g}" if classes is None else classes[sets.train.targets[0]]
        yield Finding("warning", "train", f"all samples have the target {only}", (), "there is nothing to be learnt")
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


def odd_sets(sets: Sets) -> Iterator[Finding]:
    """Sets whose values lie elsewhere than those of training."""
    train = flattened(sets.train)
    low, high = _most(train)
    per_feature, names = sets.train.inputs.ndim == 2, feature_names(sets)
    mean, spread = (_moment(train, moment, per_feature) for moment in (np.mean, np.std))
    for name, part in (("validation", sets.validation), ("test", sets.test)):
        flat = flattened(part)
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
        if per_feature:
            mine, theirs = (np.subtract(*np.percentile(x, (95, 5), axis=0)) for x in (flat, train))
            ratio = np.where(theirs > 0, mine / theirs, 1)
            odd = np.flatnonzero((ratio > 20) | ((ratio < 0.05) & (ratio > 0)))
            if len(odd) and len(flat) >= 30:
                yield Finding(
                    "warning",
                    name,
                    f"the values of features spread over 20 times more or less than in train: {_listed(names, odd)}",
                    (),
                    "bring all sets to one unit",
                )
                continue
        sure = 5 * np.sqrt(1 / len(flat) + 1 / len(train))  # standard errors, for features may be many
        away = np.abs(_moment(flat, np.mean, per_feature) - mean) / np.where(spread > 0, spread, np.inf)
        if away.max() > max(SHIFT, sure):
            feature = f"feature {names[int(away.argmax())]} by " if per_feature else "by "
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
