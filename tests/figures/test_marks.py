"""Marks: where in the picture values stand, against places that the SVG itself has."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures.test_page import marks_in
from treadle.figures import Drawing
from treadle.figures.marks import MOST, marks_of

SVG = "{http://www.w3.org/2000/svg}"


def marks(draw, width=6, height=4):
    figure = Figure(figsize=(width, height), layout="constrained")
    draw(figure)
    figure.draw_without_rendering()
    return marks_of(figure)


def test_places_are_shares_of_the_picture_by_hand():
    def draw(figure):
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.2, 0.1, 0.5, 0.8), xlim=(0, 10), ylim=(1, 1000), yscale="log", xlabel="step")
        axes.plot([0, 5, 10], [1, 10, 1000], label="loss", color="#4477aa")

    (found,) = marks(draw)
    assert found["label"] == "loss"
    assert (found["x"], found["y"], found["colour"]) == ("step", "", "#4477aa")
    # x: 0.2 + 0.5 x / 10; y from the top: 1 − (0.1 + 0.8 log₁₀ y / 3)
    expected = [[0.2, 0.9], [0.45, 1 - 0.1 - 0.8 / 3], [0.7, 0.1]]
    assert np.allclose(found["places"], expected, rtol=0, atol=1e-5)
    assert found["values"] == [[0, 1], [5, 10], [10, 1000]]


def test_places_are_those_of_the_svg():
    values = np.array([[1.0, 0.2], [2.0, 0.7], [3.0, 0.4]])

    def draw(figure):
        left, right = figure.subplots(1, 2)
        left.plot(*values.T, label="a line")
        right.scatter(*values.T, label="points")
        right.set_xscale("log")

    drawing = Drawing("", "", (), draw, 6, 4)
    root = ElementTree.fromstring(drawing.svg())
    found = marks_in(drawing.html())
    width, height = (float(number) for number in root.get("viewBox").split()[2:])
    line, points = (root.find(f".//*[@id='series-{number}']") for number in (0, 1))
    drawn = [
        np.array(re.findall(r"[\d.]+", line.find(f".//{SVG}path").get("d")), float).reshape(-1, 2),
        np.array([[float(use.get("x")), float(use.get("y"))] for use in points.iter(f"{SVG}use")]),
    ]
    for series, places in zip(found, drawn, strict=True):
        assert np.allclose(series["places"], places / [width, height], atol=1e-4)
        assert series["values"] == values.tolist()


def test_all_lie_in_the_picture_and_what_is_outside_or_no_number_is_left_out():
    def draw(figure):
        axes = figure.subplots()
        axes.plot([0, 1, 2, 3, 4], [1, np.nan, 2, np.inf, 3], label="holes")
        axes.plot([0, 1, 1e9], [1, 2, 3], label="far")
        axes.scatter(np.ma.masked_equal([0, 1, 2], 1), [1, 2, 3], label="masked")
        axes.set(xlim=(0, 5), ylim=(0, 5))

    found = {one["label"]: one for one in marks(draw)}
    assert found["holes"]["values"] == [[0, 1], [2, 2], [4, 3]]
    assert found["far"]["values"] == [[0, 1], [1, 2]]
    assert found["masked"]["values"] == [[0, 1], [2, 3]]
    for one in found.values():
        assert len(one["places"]) == len(one["values"])
        assert np.all((np.array(one["places"]) >= 0) & (np.array(one["places"]) <= 1))


def test_a_logarithm_of_zero_is_left_out():
    def draw(figure):
        figure.subplots().semilogy([0, 1, 2], [0, 1, 10], label="a")

    assert marks(draw)[0]["values"] == [[1, 1], [2, 10]]


def test_what_has_no_label_or_too_many_points_is_no_series():
    def draw(figure):
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1])
        axes.plot([0, 1], [0, 1], label="_own")
        axes.plot(range(MOST + 1), range(MOST + 1), label="too many")
        axes.plot(range(MOST), range(MOST), label="as many as can be")
        axes.plot([], [], label="none")
        axes.contour(np.arange(9.0).reshape(3, 3))
        axes.hist([1, 2, 3], label="bars")
        axes.fill_between([0, 1], [0, 1], label="an area")
        axes.axhline(1)

    assert [one["label"] for one in marks(draw)] == ["as many as can be"]
    assert marks(lambda figure: None) == []


@pytest.mark.parametrize(
    ("settings", "colour"),
    [
        ({"color": "#ee6677"}, "#ee6677"),
        ({"facecolors": "none", "edgecolors": "#228833"}, "#228833"),
        ({"facecolors": "white", "edgecolors": "#228833"}, "#228833"),
        ({"c": ["#ee6677", "#228833"]}, "#ee6677"),
    ],
)
def test_the_colour_is_the_one_that_is_seen(settings, colour):
    def draw(figure):
        figure.subplots().scatter([0, 1], [0, 1], label="a", **settings)

    assert marks(draw)[0]["colour"] == colour
