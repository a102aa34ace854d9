"""Pictures of loss surfaces: what they must show, and the same bytes each time."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from drawings import texts
from treadle.errors import TreadleError
from treadle.figures import draw_surface
from treadle.figures.concepts import descent, draw_descent
from treadle.language import Words
from treadle.optim import SGD, AdaGrad, Adam, Momentum
from treadle.train.surface import Path, Surface

X = np.linspace(-1, 1, 5)
POINTS = np.array([[-1.0, 1.0], [0.0, 0.0]])
PATH = Path("SGD(0.1)", np.array([0, 5]), POINTS, np.array([2.0, 0.5]), np.array([1.9, 0.5]), 0.875, False)
FOUND = Surface(X, X, X[None] ** 2 + X[:, None] ** 2, ("first", "second"), (PATH,), 100, 5, 0.1)


def test_it_shows_the_plane_the_paths_and_what_they_explain():
    svg = draw_surface(FOUND).svg()
    wanted = {"first", "second", "loss", "step", "5 × 5 losses over 100 samples", "SGD(0.1): 87.5 % in the plane"}
    assert wanted <= texts(svg)
    assert {"the true loss on each path", "SGD(0.1), nearest point of the plane", "SGD(0.1)"} <= texts(svg)
    assert draw_surface(FOUND).svg() == svg


def test_its_values_are_in_tables():
    surface, path = draw_surface(FOUND).tables
    assert surface.rows()[1] == (-0.5, -1.0, 1.25)
    assert len(surface.rows()) == 25
    assert path.rows() == [(0, -1.0, 1.0, 2.0, 1.9), (5, 0.0, 0.0, 0.5, 0.5)]


def test_directions_are_named_in_chinese():
    names = ("first principal component", "second")
    shown = texts(draw_surface(replace(FOUND, axes=names), words=Words("zh")).svg())
    assert {"第一主成分", "第二主成分", "损失", "步", "SGD(0.1)：87.5 % 在平面内"} <= shown


@pytest.mark.parametrize("losses", [np.full((5, 5), 3.0), np.where(X[None] > 0, np.inf, 1.0) + np.zeros((5, 5))])
def test_a_flat_surface_and_one_that_is_not_finite_can_be_drawn(losses):
    svg = draw_surface(Surface(X, X, losses, ("first", "second"), (), 100, 5, 0.1)).svg()
    assert "step" not in texts(svg)


def test_the_four_paths_of_the_valley():
    assert {"SGD(0.95)", "Momentum(0.1)", "AdaGrad(lr=1.5)", "Adam(lr=0.3)"} <= texts(draw_descent().svg())
    seconds = [(-6.335, -1.8), (-6.93, 1.6), (-5.5, 0.5), (-6.7, 1.7)]
    for optimizer, second in zip((SGD(0.95), Momentum(0.1), AdaGrad(1.5), Adam(0.3)), seconds, strict=True):
        points = descent(optimizer, 30)
        assert points.shape == (31, 2)
        np.testing.assert_allclose(points[1], second, rtol=1e-7)


def test_a_surface_without_a_finite_loss_is_told():
    with pytest.raises(TreadleError, match="no loss of this surface is finite"):
        draw_surface(Surface(X, X, np.full((5, 5), np.inf), ("first", "second"), (), 100, 5, 0.1)).svg()


@pytest.mark.parametrize(("low", "high"), [(2.388, 2.399), (0.0, 1e-9), (1e6, 1.2e6), (-3.0, 5.0), (1e9, 1e9 + 1)])
def test_numbers_beside_the_colours_differ(low, high):
    losses = low + (high - low) * (X[None] ** 2 + X[:, None] ** 2) / 2
    surface = Surface(X, X, losses, ("first", "second"), (), 100, 5, 0.1)
    figure = Figure()
    draw_surface(surface).draw(figure)
    figure.canvas.draw()
    shown = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert len(set(shown)) == len(shown) > 5
