"""Weights and gradients over the steps, drawn: of a run that is trained again, and of a recipe."""

import numpy as np
import pytest

import treadle as td
from drawings import drawn, has
from small_sets import NETWORK, SGD, three_classes
from treadle.errors import TreadleError
from treadle.figures import figure
from treadle.figures.histograms import draw_histograms
from treadle.runs import create, train
from treadle.runs.train import Hooks
from treadle.train import distributions
from treadle.train.distributions import Distributions, spread_of

pytestmark = pytest.mark.slow

DIABETES = {
    "data.source": "diabetes",
    "data.split": "random",
    "data.batch_size": 50,
    "network.layers": ["linear 6", "relu", "dropout 0.2", "linear 1"],
    "data.scale": "standard",
    "training.metrics": ["squared_error"],
    "optimizer.kind": "adam",
    "optimizer.schedule": ["cosine length=2"],
    "training.epochs": 2,
}


def test_a_run_is_trained_again_to_the_bit(tmp_path):
    recipe = td.Recipe.baseline().change(DIABETES)
    folder = create(tmp_path, "run")
    seen = {}
    train(
        recipe,
        recipe.load_data(),
        folder,
        Hooks(on_step=lambda s, n: seen.update({s.step: s.vector.copy()})),
    )
    found = figure("histograms", folder, language="en", looks=50)
    steps = found.tables[0].columns["step"]
    assert list(steps) == list(range(1, max(seen) + 1))
    for path, begin, size in (("linear1.weight", 0, 60),):
        table = next(table for table in found.tables if table.name == path)
        for place, step in enumerate(steps[1:], 1):
            before = seen[step - 1][begin : begin + size].astype(np.float64)
            assert table.columns["weights: largest"][place] == before.max()
            assert table.columns["weights: standard deviation"][place] == pytest.approx(before.std())
    assert has(found.svg(), "linear1.weight", "10×6", "gradients", "standard deviation", "share of zeros")
    zh = figure("histograms", recipe, language="zh", steps=3)
    assert has(zh.svg(), "权重", "梯度", "标准差", "零的比例")


def test_counts_leave_out_zeros_and_hold_all_else():
    found = distributions(NETWORK, three_classes(), steps=6, loss="cross_entropy", optimizer=SGD, epochs=9)
    one = drawn(draw_histograms, found, parameters="linear1")
    table = next(table for table in one.tables if table.name == "linear1.weight: weights")
    for step in found.steps:
        assert sum(table.columns[f"step {step}"]) == 20
    assert any(table.name == "linear1.bias: gradients" for table in one.tables)
    bias = next(table for table in one.tables if table.name == "linear1.bias: weights")
    assert sum(bias.columns["step 1"]) == 0  # biases begin at 0
    with pytest.raises(TreadleError, match="no trained parameter is called 'linear9'"):
        draw_histograms(found, parameters=["linear9"])


@pytest.mark.parametrize("values", [np.zeros(5), np.full(5, np.nan), np.full(5, 3.0), np.array([1e-30, 1e30])])
def test_odd_values_are_drawn(values):
    spreads = (spread_of(values), spread_of(np.ones(2)))
    found = Distributions((1, 2), (1.0, np.nan), {"w": (5, 1)}, {"w": spreads}, {"w": spreads[::-1]}, "it failed")
    assert "it failed" in drawn(draw_histograms, found).caption


def test_networks_with_many_layers_show_some_and_tell_all():
    spreads = (spread_of(np.linspace(-1, 1, 9)),)
    paths = {f"linear{n}.weight": spreads for n in range(40)}
    found = Distributions((1,), (1.0,), dict.fromkeys(paths, (3, 3)), paths, paths)
    one = drawn(draw_histograms, found)
    assert "32 other parameters" in one.caption
    assert len(one.tables) == 40 + 16
