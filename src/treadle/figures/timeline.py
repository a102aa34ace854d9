"""When batches are read, waited for and trained on, and how many lie ready."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from treadle.data import Prefetch, Times
from treadle.figures.drawing import BLUE, GREEN, GREY, RED, Drawing, Table
from treadle.language import ENGLISH, Words
from treadle.train import Timeline
from treadle.train.timeline import WORTH, described

STEPS = 12  # drawn of each way of reading


def draw_timeline(timeline: Timeline, *, words: Words = ENGLISH) -> Drawing:
    """Draw some steps with each batch read when it is needed, and with the proposed or best way of reading ahead.

    Bars are the reading of a batch, the time that training waits for it, and training itself, by the same clock; the
    lines below are how many batches are read and not yet taken.
    """
    ways = [_Way(words("each batch read when it is needed", "需要时才读取每个批次"), timeline.direct.times, 0)]
    if timeline.trials:
        best = timeline.proposal or min(timeline.trials, key=lambda trial: trial[1].seconds)[0]
        ways.append(_Way(_described(best, words), dict(timeline.trials)[best].times, best.batches))
    fills = [way.fill() for way in ways]
    count = ways[0].last - ways[0].first

    def draw(figure: Any) -> None:
        panels = figure.subplots(2 * len(ways), 1, squeeze=False, sharex=True, height_ratios=[1.6, 1] * len(ways))[:, 0]
        for number, (way, fill) in enumerate(zip(ways, fills, strict=True)):
            lanes, queue = panels[2 * number : 2 * number + 2]
            _lanes(lanes, way, words)
            lanes.set_title(way.name, fontsize=10, loc="left")
            label = words("batches ready", "就绪批次")
            queue.step(*fill, where="post", color=BLUE, linewidth=1.2, label=f"{label} ({way.name})")
            queue.fill_between(*fill, step="post", color=BLUE, alpha=0.15, linewidth=0, label="_fill")
            queue.axhline(way.queue, color=GREY, linestyle=":", label="_length")
            queue.set(ylabel=label, ylim=(-0.2, max(way.queue, int(fill[1].max()), 1) + 0.4))
            queue.yaxis.label.set_fontsize(8)
            queue.yaxis.get_major_locator().set_params(integer=True)
            queue.tick_params(labelsize=8)
        panels[0].set_xlim(0, max(1e3 * (way.end - way.begin) for way in ways))
        panels[-1].set_xlabel(words("milliseconds", "毫秒"))
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
        figure.suptitle(_verdict(timeline, words), fontsize=9)

    return Drawing(
        words("Reading and training on a time line", "时间线上的读取与训练"),
        words(
            f"{count} steps of {timeline.batch_size:,} samples by the clock, a stretch of the median length. Where "
            "training would wait for a batch, "
            "reading ahead fills a queue meanwhile; the line below is how many batches lie there, the dotted one how "
            "many find room. ",
            f"按时钟画出的 {count} 个训练步，每步 {timeline.batch_size:,} 个样本，取总时长为中位数的一段。"
            "训练可能要等待批次时，"
            "预先读取在此期间填充队列；下方的线是队列中的批次数，虚点线是队列的容量。",
        )
        + _verdict(timeline, words)
        + words(".", "。"),
        (
            _paces(timeline, words),
            *(_steps(way, words) for way in ways),
            *(_fills(way, fill, words) for way, fill in zip(ways, fills, strict=True)),
        ),
        draw,
        8,
        1.2 + 2.4 * len(ways),
        words,
    )


@dataclass(frozen=True)
class _Way:
    """A way of reading, when its batches were read and taken, and how many find room in its queue.

    What is drawn begins where a batch is asked for before which all are known, so that none lies there uncounted. It
    is the stretch of one epoch whose length is the median of all such: a step that the machine delays is not typical.
    """

    name: str
    times: tuple[Times, ...]
    queue: int

    @cached_property
    def first(self) -> int:
        """The first batch that is drawn."""
        all_ = range(1, len(self.times) - STEPS)
        begins = [n for n in all_ if self.times[n].epoch == self.times[n + STEPS].epoch] or list(all_)
        if not begins:
            return min(1, len(self.times) - 1)
        lengths = [self.times[n + STEPS].wait_begin - self.times[n].wait_begin for n in begins]
        return begins[int(np.argsort(lengths, kind="stable")[len(lengths) // 2])]

    @property
    def last(self) -> int:
        """The batch at whose asking the drawing ends."""
        return min(self.first + STEPS, len(self.times) - 1)

    @property
    def begin(self) -> float:
        """When the drawing begins, in seconds."""
        return self.times[self.first].wait_begin

    @property
    def end(self) -> float:
        """When it ends."""
        return max(self.times[self.last].wait_begin, self.times[self.first].wait_end)

    def fill(self) -> tuple[Any, Any]:
        """Milliseconds from the beginning, and how many batches are read and not yet taken from then on."""
        read = np.array([one.read_end for one in self.times])
        taken = np.array([one.wait_end if one.worker else one.read_end for one in self.times])
        moments = np.unique(np.concatenate([[self.begin, self.end], read, taken]))
        moments = moments[(moments >= self.begin) & (moments <= self.end)]
        count = (read <= moments[:, None]).sum(axis=1) - (taken <= moments[:, None]).sum(axis=1)
        return 1e3 * (moments - self.begin), count


def _lanes(axes: Any, way: _Way, words: Words) -> None:
    """Bars of reading, a lane for each worker, and of training below, which ends where the next batch is asked for."""
    seen = [one for one in way.times if one.read_end >= way.begin and one.read_begin <= way.end]
    workers = sorted({one.worker for one in seen})
    lanes = {worker: place + 1 for place, worker in enumerate(workers)}

    def bars(spans: list[tuple[float, float]], lane: float, colour: str, label: str) -> None:
        milliseconds = [((begin - way.begin) * 1e3, (end - begin) * 1e3) for begin, end in spans]
        axes.broken_barh(
            milliseconds, (lane - 0.4, 0.8), facecolor=colour, label=label, edgecolor="white", linewidth=0.4
        )

    for number, worker in enumerate(workers):
        mine = [(one.read_begin, one.read_end) for one in seen if one.worker == worker]
        bars(mine, lanes[worker], BLUE, words("read", "读取") if number == 0 else "_read")
    drawn = way.times[way.first : way.last + 1]
    waits = [(one.wait_begin, one.wait_end) for one in drawn]
    bars(waits, 0, RED, words("training waits", "训练等待"))
    steps = [(one, following) for one, following in pairwise(drawn) if one.epoch == following.epoch]
    bars([(one.wait_end, following.wait_begin) for one, following in steps], 0, GREEN, words("training", "训练"))
    names = [
        words("read", "读取") if worker == 0 else words(f"worker {worker}", f"读取 {worker}") for worker in workers
    ]
    axes.set_yticks(range(len(names) + 1), [words("training", "训练"), *names], fontsize=8)
    axes.tick_params(axis="x", labelsize=8)


def _described(setting: Prefetch, words: Words) -> str:
    kind = {"thread": "线程", "process": "进程"}[setting.worker_kind]
    return words(described(setting), f"预先读取 {setting.batches} 批，{setting.workers} 个{kind}")


def _verdict(timeline: Timeline, words: Words) -> str:
    """What to do, as `Timeline.verdict` says it."""
    if timeline.most < WORTH:
        chinese = f"异步读取最多节省 {timeline.most:.0%}：不值得，data.prefetch 保持为 0"
    elif timeline.proposal is None:
        best = timeline.saved(min(pace.seconds for _, pace in timeline.trials))
        told = f"实际节省 {best:.0%}" if best > 0 else "实际没有节省"
        chinese = f"异步读取最多可节省 {timeline.most:.0%}，在这台机器上{told}：不值得"
    else:
        found = timeline.proposal
        saved = timeline.saved(dict(timeline.trials)[found].seconds)
        more = f"，data.workers={found.workers}" if found.workers > 1 else ""
        more += f"，data.worker_kind={found.worker_kind}" if found.worker_kind != "thread" else ""
        chinese = f"异步读取节省 {saved:.0%} 的时间：设置 data.prefetch={found.batches}{more}"
    return words(timeline.verdict, chinese)


def _paces(timeline: Timeline, words: Words) -> Table:
    rows = [
        (words("each batch read when it is needed", "需要时才读取每个批次"), timeline.direct),
        (words("batches from memory", "来自内存的批次"), timeline.replayed),
        *((_described(setting, words), pace) for setting, pace in timeline.trials),
    ]
    return Table(
        words("paces", "速度"),
        {
            words("reading", "读取方式"): [name for name, _ in rows],
            words("seconds a step", "每步秒数"): [pace.seconds for _, pace in rows],
            words("seconds to read a batch", "读取一批的秒数"): [pace.read for _, pace in rows],
            words("steps", "步数"): [pace.steps for _, pace in rows],
        },
    )


def _steps(way: _Way, words: Words) -> Table:
    heads = (
        words("read from", "读取开始"),
        words("read until", "读取结束"),
        words("waited from", "等待开始"),
        words("waited until", "等待结束"),
    )
    drawn = way.times[way.first : way.last + 1]
    columns = {f"{head} (ms)": [1e3 * (one[place] - way.begin) for one in drawn] for place, head in enumerate(heads)}
    columns[words("worker", "执行者")] = [one.worker for one in drawn]
    columns[words("epoch", "轮 (epoch)")] = [one.epoch for one in drawn]
    return Table(way.name, columns)


def _fills(way: _Way, fill: tuple[Any, Any], words: Words) -> Table:
    return Table(
        words(f"queue: {way.name}", f"队列：{way.name}"),
        {words("milliseconds", "毫秒"): fill[0].tolist(), words("batches ready", "就绪批次"): fill[1].tolist()},
    )
