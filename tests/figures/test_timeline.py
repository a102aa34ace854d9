"""Pictures of reading and training side by side."""

from xml.etree import ElementTree

from treadle.data import Prefetch, Times
from treadle.figures import draw_timeline
from treadle.train.timeline import Pace, Timeline

DIRECT = tuple(Times(3.0 * n, 3.0 * n + 2, 3.0 * n, 3.0 * n + 2, 0, n // 4) for n in range(8))
AHEAD = tuple(Times(n, n + 2.0, n + 1.9, n + 2.0, n % 2 + 1, 0) for n in range(8))
TRIAL = (Prefetch(4, workers=2), Pace(1.0, 8, AHEAD))


def texts(svg):
    return {text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()}


def test_both_ways_of_reading_are_shown():
    found = Timeline(Pace(3.0, 8, DIRECT), Pace(1.0, 8, DIRECT), (TRIAL,), 100)
    shown = texts(draw_timeline(found))
    wanted = {"each batch read when it is needed", "prefetch 4, 2 threads", "read", "training waits", "training"}
    assert wanted | {"worker 1", "worker 2", "milliseconds", found.verdict} <= shown
    assert draw_timeline(found) == draw_timeline(found)


def test_where_reading_ahead_was_not_tried_there_is_one_panel():
    shown = texts(draw_timeline(Timeline(Pace(3.0, 8, DIRECT), Pace(3.0, 8, DIRECT), (), 100)))
    assert "worker 1" not in shown
    assert any("not worth it" in text for text in shown)
