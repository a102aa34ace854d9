"""A thorough look at data before any training: what is odd about its features, its labels and its sets."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Sets, evenly
from treadle.data.oddities import SHOWN, first_rows, flattened, groups, odd_classes, odd_features, odd_sets
from treadle.data.stored import SHARE
from treadle.data.validity import Finding, by_severity, check
from treadle.memory import available

MOST = 100_000  # samples of a set that are read where the data stay on disk
NEAR = 0.01  # root mean square difference of near duplicates, in standard deviations of the data


def examine(sets: Sets) -> list[Finding]:
    """Find what is wrong or odd about data: `check`, and for data without errors everything below.

    Samples: exact and near duplicates, the same sample in two sets, other labels for the same inputs, images of one
    colour. Features: constant, twice the same, row numbers, outliers, codes for missing values, one that gives the
    target away, more features than samples. Classes: rare, of very different sizes, in one set alone. Sets: other
    ranges or means than in training.

    Returns:
        Findings, errors first; none for data without fault.

    >>> from treadle.data import Dataset
    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> rows = Dataset(np.c_[x, np.ones(60)], np.arange(60) % 2, ("a", "b"), "train")
    >>> [finding.message for finding in examine(Sets(rows[:20], rows[20:40], rows[40:], "rows", "made up"))]
    ['1 of 3 features are constant: 2']
    """
    findings = check(sets)
    if any(finding.severity == "error" for finding in findings):
        return findings
    most = min(MOST, int(SHARE * available() / 8) // max(1, sets.train.inputs.nbytes // len(sets.train)))
    numbers, held = {}, {}
    for name, part in sets.parts().items():
        numbers[name], held[name] = evenly(part, max(most, 1))
        if len(held[name]) < len(part):
            found = f"the data are on disk: {len(held[name]):,} of {len(part):,} samples, taken evenly, were examined"
            findings.append(Finding("note", name, found, (), "a duplicate of a sample that was left out goes unseen"))
    sets = replace(sets, train=held["train"], validation=held["validation"], test=held["test"])
    with np.errstate(all="ignore"):  # huge numbers overflow, and are told as what they are
        rows = _Rows(sets, numbers)
        found_in_samples = [
            *_samples(sets, rows),
            *_near(sets, rows),
            *odd_features(sets),
            *odd_classes(sets),
            *odd_sets(sets),
        ]
    for finding in found_in_samples:
        if finding.rows:
            known = sets.parts()[finding.where].places
            places = tuple(known.name(row) for row in finding.rows) if known else ()
            there = tuple(int(numbers[finding.where][row]) for row in finding.rows)
            finding = replace(finding, rows=there, places=places)
        findings.append(finding)
    return by_severity(findings)


class _Rows:
    """The inputs of all sets one after the other, (N, F), and where each set begins."""

    def __init__(self, sets: Sets, numbers: Mapping[str, NDArray[np.int64]]) -> None:
        self.numbers = numbers
        self.parts = list(sets.parts().items())
        self.flat = np.concatenate([flattened(part) for _, part in self.parts])
        self.begins = np.cumsum([0, *(len(part) for _, part in self.parts)])

    def place(self, row: int) -> str:
        """Name the set of a row, and its number there."""
        number = int(np.searchsorted(self.begins, row, side="right")) - 1
        (name, part), local = self.parts[number], row - self.begins[number]
        where = f" ({part.places.name(local)})" if part.places else ""
        return f"{name} {self.numbers[name][local]}{where}"


def _samples(sets: Sets, rows: _Rows) -> Iterator[Finding]:
    """Exact duplicates, within sets and between them, and what labels they have; images of one colour."""
    parts, begins = rows.parts, rows.begins
    targets = np.concatenate([part.targets for _, part in parts])
    belongs = np.repeat(np.arange(3), np.diff(begins))
    same = groups(rows.flat)
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
                first_rows(np.array(again)),
                "remove them, unless samples come several times by their nature",
            )
        if part.inputs.ndim == 4:
            blank = np.flatnonzero(np.ptp(flattened(part), axis=1) == 0)
            if len(blank):
                yield Finding(
                    "warning",
                    name,
                    f"{len(blank)} images have one colour alone",
                    first_rows(blank),
                    "look at them: is it so?",
                )
    for number in (1, 2):
        leaked = np.flatnonzero(several & (belongs == number) & np.isin(same, same[belongs < number]))
        if len(leaked):
            yield Finding(
                "warning",
                parts[number][0],
                f"{len(leaked)} samples are in {'train' if number == 1 else 'an earlier set'} as well",
                first_rows(leaked - begins[number]),
                "remove them from one: a score on samples that were trained on says little about new ones",
            )
    order = np.flatnonzero(several)
    if sets.train.classes is not None and len(order):
        low, high = (np.full(same.max() + 1, limit) for limit in (np.iinfo(np.int64).max, np.iinfo(np.int64).min))
        np.minimum.at(low, same[order], targets[order])
        np.maximum.at(high, same[order], targets[order])
        odd = order[low[same[order]] != high[same[order]]]
        if len(odd):
            places = map(rows.place, odd[:SHOWN])
            yield Finding(
                "warning",
                "data",
                f"{len(odd)} samples have the inputs of others and another label: {', '.join(places)}",
                (),
                "correct the labels, or add what tells such samples apart",
            )


def _near(sets: Sets, rows: _Rows) -> Iterator[Finding]:
    """Samples that differ by next to nothing: found where random projections fall into one cell, then compared."""
    flat = rows.flat
    if flat.shape[1] < 2:
        return
    spreads = np.array([part.std(axis=0, dtype=np.float64) for part in np.split(flat, rows.begins[1:-1])])
    spread = np.where(spreads > 0, spreads, np.inf).min(axis=0)  # an outlier of one set, or another unit, counts less
    used = np.isfinite(spread)
    if not used.any():
        return
    scale = spread[used] if sets.train.inputs.ndim == 2 else np.ones(1)
    middle = flat[:, used].mean(axis=0, dtype=np.float64)
    scaled = np.empty((len(flat), int(used.sum())), np.float32)
    for begin in range(0, len(flat), 4096):  # in float64 some at a time, for far from 0 float32 has few digits
        scaled[begin : begin + 4096] = (flat[begin : begin + 4096, used] - middle) / scale
    unit = 1.0 if sets.train.inputs.ndim == 2 else float(np.sqrt(np.mean(spread[used] ** 2)))
    draws = np.random.default_rng(0)
    projected = (
        scaled @ draws.normal(size=(scaled.shape[1], 8)).astype(np.float32) / np.float32(np.sqrt(scaled.shape[1]))
    )
    pairs: set[tuple[int, int]] = set()
    for shift in (0.0, 1 / 3, 2 / 3):  # who is parted by an edge in one grid shares a cell of another
        cells = groups(np.floor(projected / (20 * NEAR * unit) + shift).astype(np.int32))
        order = np.argsort(cells, kind="stable")
        for step in (1, 2, 3):
            before, after = order[:-step], order[step:]
            together = cells[before] == cells[after]
            pairs |= set(zip(before[together].tolist(), after[together].tolist(), strict=True))
    close, wider = [], 0
    for one, other in sorted(pairs):
        difference = float(np.sqrt(np.mean((scaled[one] - scaled[other]) ** 2)))
        if 0 < difference < 4 * NEAR * unit:
            wider += 1
            if difference < NEAR * unit:
                close.append((one, other))
    # copies are close and have nobody a little further away; by chance there are at least four times as many there
    if len(close) > wider / 2:
        shown = ", ".join(f"{rows.place(one)} and {rows.place(other)}" for one, other in close[:SHOWN])
        yield Finding(
            "warning",
            "data",
            f"{len(close)} pairs of samples are nearly the same: {shown}",
            (),
            "look at them: copies that were saved again, or scaled, count twice",
        )
