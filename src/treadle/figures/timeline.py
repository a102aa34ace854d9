"""When batches are read, waited for and trained on."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from treadle.data import Times
from treadle.figures.drawing import BLUE, GREEN, RED, drawn
from treadle.train import Timeline
from treadle.train.timeline import described

STEPS = 12  # drawn of each way of reading


def draw_timeline(timeline: Timeline) -> str:
    """Draw some steps with each batch read when it is needed, and with the proposed or best way of reading ahead.

    Bars are the reading of a batch, the time that training waits for it, and training itself, by the same clock.

    Raises:
        TreadleError: matplotlib is not installed.
    """
    shown = [("each batch read when it is needed", timeline.direct.times)]
    if timeline.trials:
        best = timeline.proposal or min(timeline.trials, key=lambda trial: trial[1].seconds)[0]
        shown.append((described(best), dict(timeline.trials)[best].times))

    def draw(figure: Any) -> None:
        panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for axes, (title, times) in zip(panels, shown, strict=True):
            _lanes(axes, times[: STEPS + 1])
            axes.set_title(title, fontsize=10, loc="left")
        longest = max(axes.get_xlim()[1] for axes in panels)
        for axes in panels:
            axes.set_xlim(0, longest)
        panels[-1].set_xlabel("milliseconds")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
        figure.suptitle(timeline.verdict, fontsize=9)

    return drawn(draw, 8, 1.2 + 1.6 * len(shown))


def _lanes(axes: Any, times: tuple[Times, ...]) -> None:
    """Bars of reading, a lane for each worker, and of training below, which ends where the next batch is asked for."""
    workers = sorted({one.worker for one in times})
    zero = min(one.read_begin for one in times)
    lanes = {worker: place + 1 for place, worker in enumerate(workers)}

    def bars(spans: list[tuple[float, float]], lane: float, colour: str, label: str) -> None:
        milliseconds = [((begin - zero) * 1e3, (end - begin) * 1e3) for begin, end in spans]
        axes.broken_barh(
            milliseconds, (lane - 0.4, 0.8), facecolor=colour, label=label, edgecolor="white", linewidth=0.4
        )

    for number, worker in enumerate(workers):
        mine = [(one.read_begin, one.read_end) for one in times[:-1] if one.worker == worker]
        bars(mine, lanes[worker], BLUE, "read" if number == 0 else "_read")
    waits = [(one.wait_begin, one.wait_end) for one in times[:-1]]
    bars(waits, 0, RED, "training waits")
    steps = [(one, following) for one, following in pairwise(times) if one.epoch == following.epoch]
    bars([(one.wait_end, following.wait_begin) for one, following in steps], 0, GREEN, "training")
    names = ["training", *("read" if worker == 0 else f"worker {worker}" for worker in workers)]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
