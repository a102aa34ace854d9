"""Learning curves: every point of the history, of a run and of a climb's seeds."""

import math

import numpy as np
import pytest

import treadle as td
from drawings import drawn, has
from small_sets import fit, line, three_classes
from treadle.errors import TreadleError
from treadle.figures import figure
from treadle.figures.curves import Curves, draw_learning_curves
from treadle.language import Words
from treadle.nn import Linear, Sequential

pytestmark = pytest.mark.slow

CLIMB = """\
seeds = 2
metric = "validation_accuracy"
keep = "always"

[baseline.data]
source = "wine"
split = "stratified"
[baseline.network]
preset = "softmax"
[baseline.loss]
kind = "cross_entropy"
[baseline.optimizer]
kind = "sgd"
lr = 0.1
[baseline.training]
epochs = 2

[[rung]]
name = "standardise"
change = {"data.scale" = "standard"}
"""


def history(*losses, name="validation_loss"):
    return [{"epoch": n, "train_loss": 2 * v if v else v, name: v, "seconds": 1.0} for n, v in enumerate(losses, 1)]


def test_the_points_of_a_run_are_its_history():
    run = fit(three_classes(), epochs=3)
    one = figure("learning_curves", run, language="en")
    table = one.tables[0]
    assert table.columns["epoch"] == [1, 2, 3]
    assert table.columns["training loss"] == [record["train_loss"] for record in run.history]
    assert table.columns["loss on the validation set"] == [record["validation_loss"] for record in run.history]
    assert table.columns["accuracy on the validation set"] == [record["validation_accuracy"] for record in run.history]
    assert table.columns["weights used"].index("yes") + 1 == run.weights_epoch
    assert has(one.svg(), f"weights used: epoch {run.weights_epoch}", "training set, while training", "validation set")
    assert has(figure("learning_curves", run, language="zh").svg(), "轮（epoch）", "损失", "验证集准确率")
    with pytest.raises(TreadleError, match="steps are those of a climb"):
        figure("learning_curves", run, steps=0)


def test_a_regression_has_its_own_metric_and_loss_after_the_epoch():
    run = fit(line(), Sequential(Linear(1)), epochs=2, evaluate_train=True)
    one = figure("learning_curves", run, language="en")
    assert has(one.svg(), "squared error on the validation set", "training set, after the epoch")


def test_bands_from_the_smallest_to_the_largest_over_seeds():
    curves = [
        Curves(("baseline", "基线"), (history(4.0, 3.0), history(2.0, 1.0, 0.5)), (2, 3)),
        Curves(("next", "下一步"), (history(1.0),), (1,)),
    ]
    one = drawn(draw_learning_curves, curves)
    assert one.tables[0].columns["run"] == [1, 1, 2, 2, 2]
    assert one.tables[0].columns["loss on the validation set"] == [4.0, 3.0, 2.0, 1.0, 0.5]
    made = one._figure()
    middle = next(line for line in made.axes[1].lines if line.get_label() == "baseline")
    np.testing.assert_array_equal(middle.get_ydata(), [3.0, 2.0, 0.5])
    band = made.axes[1].collections[0].get_paths()[0].vertices
    assert band[band[:, 0] == 1][:, 1].min() == 2.0
    assert band[band[:, 0] == 1][:, 1].max() == 4.0
    assert has(one.svg(), "baseline", "next", "weights used")


def test_losses_that_are_not_finite_one_epoch_and_none():
    broken = Curves(("", ""), (history(1.0, None, math.inf),), (1,))
    assert math.isnan(drawn(draw_learning_curves, [broken]).tables[0].columns["loss on the validation set"][1])
    drawn(draw_learning_curves, [Curves(("", ""), (history(math.nan),), (None,))])
    drawn(
        draw_learning_curves,
        [Curves((f"a rung {n}", f"第 {n} 级"), (history(1.0 + n), history(2.0)), (1, 1)) for n in range(14)],
    )
    with pytest.raises(TreadleError, match="no epoch of this run has ended"):
        draw_learning_curves([Curves(("", ""), ([],), (None,))])


def test_the_steps_of_a_climb_are_chosen_by_name_or_number(tmp_path):
    (tmp_path / "ladder.toml").write_text(CLIMB)
    climb = td.ladder.climb(td.ladder.Ladder.read(tmp_path / "ladder.toml"), tmp_path / "climbs", workers=1)
    one = figure("learning_curves", climb.record, language="en")
    assert [table.name for table in one.tables] == ["baseline", "standardise"]
    used = one.tables[1].columns["weights used"]
    accuracies = one.tables[1].columns["accuracy on the validation set"]
    assert [a for a, u in zip(accuracies, used, strict=True) if u] == pytest.approx(climb.steps[1].values)
    for steps in (1, "standardise", [1]):
        assert [t.name for t in figure("learning_curves", climb.record, steps=steps).tables] == ["standardise"]
    with pytest.raises(TreadleError, match="no step of this climb that was trained is called 'standard'"):
        figure("learning_curves", climb, steps="standard")
    assert has(figure("staircase", climb, language="en").svg(), "standardise")
    assert has(figure("confusion", climb, language="zh").svg(), "真实")
    Words("zh")
