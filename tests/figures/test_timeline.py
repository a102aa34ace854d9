"""Pictures of reading and training side by side."""

import re

import numpy as np
import pytest

from drawings import texts
from treadle.data import Prefetch, Times
from treadle.figures import draw_timeline
from treadle.language import Words
from treadle.train.timeline import Pace, Timeline

DIRECT = tuple(Times(3.0 * n, 3.0 * n + 2, 3.0 * n, 3.0 * n + 2, 0, n // 4) for n in range(8))
AHEAD = tuple(Times(n, n + 2.0, n + 1.9, n + 2.0, n % 2 + 1, 0) for n in range(8))
TRIAL = (Prefetch(4, workers=2), Pace(1.0, 8, AHEAD))


def test_both_ways_of_reading_are_shown():
    found = Timeline(Pace(3.0, 8, DIRECT), Pace(1.0, 8, DIRECT), (TRIAL,), 100)
    shown = texts(draw_timeline(found).svg())
    wanted = {"each batch read when it is needed", "prefetch 4, 2 threads", "read", "training waits", "training"}
    assert wanted | {"worker 1", "worker 2", "milliseconds", found.verdict} <= shown
    assert draw_timeline(found).svg() == draw_timeline(found).svg()


def test_where_reading_ahead_was_not_tried_there_is_one_panel():
    shown = texts(draw_timeline(Timeline(Pace(3.0, 8, DIRECT), Pace(3.0, 8, DIRECT), (), 100)).svg())
    assert "worker 1" not in shown
    assert any("not worth it" in text for text in shown)


def test_the_queue_is_counted_as_its_batches_come_and_go():
    drawing = draw_timeline(Timeline(Pace(3.0, 8, DIRECT), Pace(1.0, 8, DIRECT), (TRIAL,), 100))
    assert [table.name for table in drawing.tables][-2:] == [
        "queue: each batch read when it is needed",
        "queue: prefetch 4, 2 threads",
    ]
    direct, ahead = (table.columns for table in drawing.tables[-2:])
    assert set(direct["batches ready"]) == {0}
    for moment, count in zip(ahead["milliseconds"], ahead["batches ready"], strict=True):
        now = AHEAD[1].wait_begin + moment / 1e3 + 1e-9
        assert count == sum(one.read_end <= now < one.wait_end for one in AHEAD)
    # two batches lie ready before the third is taken
    slow = tuple(Times(0.5 * n, 0.5 * n + 0.5, 2.0 * n, 2.0 * n + 0.6, 1, 0) for n in range(8))
    drawing = draw_timeline(
        Timeline(Pace(3.0, 8, DIRECT), Pace(1.0, 8, DIRECT), ((Prefetch(4), Pace(2, 8, slow)),), 100)
    )
    assert max(drawing.tables[-1].columns["batches ready"]) == 6


@pytest.mark.parametrize(
    ("replayed", "ahead", "told"),
    [
        (2.94, 1.0, "异步读取最多节省 2%：不值得，data.prefetch 保持为 0"),
        (1.5, 2.97, "异步读取最多可节省 50%，在这台机器上实际节省 1%：不值得"),
        (1.5, 3.1, "异步读取最多可节省 50%，在这台机器上实际没有节省：不值得"),
        (1.5, 1.5, "异步读取节省 50% 的时间：设置 data.prefetch=4，data.workers=2"),
    ],
)
def test_the_verdict_is_told_in_chinese(replayed, ahead, told):
    trial = (Prefetch(4, workers=2), Pace(ahead, 8, AHEAD))
    found = Timeline(Pace(3.0, 8, DIRECT), Pace(replayed, 8, DIRECT), (trial,), 100)
    drawing = draw_timeline(found, words=Words("zh"))
    assert {told, "训练等待", "毫秒", "就绪批次"} <= texts(drawing.svg())
    numbers = re.findall(r"\d+%|data\.\w+=?\w*", told)
    assert numbers == re.findall(r"\d+%|data\.\w+=?\w*", found.verdict)


def test_one_batch_can_be_drawn():
    found = Timeline(Pace(3.0, 1, DIRECT[:1]), Pace(3.0, 1, DIRECT[:1]), (), 1)
    assert "training waits" in texts(draw_timeline(found).svg())


def test_a_delayed_step_is_not_what_is_drawn():
    begins = np.cumsum([5.0 if n == 3 else 1.0 for n in range(60)])
    times = tuple(Times(at, at + 0.2, at, at + 0.2, 0, 0) for at in begins)
    drawing = draw_timeline(Timeline(Pace(1.0, 60, times), Pace(1.0, 60, times), (), 100))
    waits = np.array(drawing.tables[1].columns["waited from (ms)"])
    np.testing.assert_allclose(np.diff(waits), 1e3)
    assert len(waits) == 13
