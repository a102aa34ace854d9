"""The staircase of a climb: every step with its seeds, its change and its verdict, few rungs and many."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import treadle as td
from drawings import drawn, has
from treadle.errors import TreadleError
from treadle.figures import figure
from treadle.figures.staircase import draw_order_of_credit, draw_staircase
from treadle.ladder import Climb, Ladder, Step
from treadle.ladder.statistics import compare
from treadle.language import Words

pytestmark = pytest.mark.slow

ZH = Words("zh")
BASE = [0.50, 0.52, 0.49, 0.51]


def climbed(changes, metric="validation_accuracy", higher=True, base=BASE):
    """A climb whose rungs change the values of the step before by so much, seed by seed; a text is why one failed."""
    rungs = [{"name": name, "change": {"optimizer.lr": 0.1}} for name, _ in changes]
    ladder = Ladder(baseline=td.Recipe.baseline(), rung=rungs, metric=metric, seeds=len(base))
    seeds = list(range(len(base)))
    climb = Climb(ladder, Path("climb.json"), [Step("baseline", "", None, seeds, base, kept=True)])
    for name, change in changes:
        step = Step(name, "optimizer", None, seeds)
        if isinstance(change, str):
            step.seeds, step.failed = [], change
        else:
            before = climb.top.values
            step.values = [a + b for a, b in zip(before, change, strict=True)]
            step.comparison = compare(before, step.values, higher_is_better=higher, comparisons=len(changes))
            step.kept = step.verdict == "better"
        climb.steps.append(step)
    return climb


CHANGES = [
    ("a better one", [0.20, 0.21, 0.19, 0.20]),
    ("a worse one", [-0.10, -0.11, -0.09, -0.10]),
    ("one that cannot be told", [0.01, -0.01, 0.02, -0.01]),
    ("one that fails", "seed 0: the loss is not finite"),
]


def test_each_step_has_its_seeds_its_interval_and_its_verdict():
    climb = climbed(CHANGES)
    found = drawn(draw_staircase, climb)
    steps, seeds = found.tables
    assert list(steps.columns) == [
        "step", "mean", "seeds", "change", "interval from", "interval to", "p, corrected", "verdict", "kept",
        "why it failed",
    ]  # fmt: skip
    assert steps.columns["verdict"] == ["baseline", "better", "worse", "cannot tell", "failed"]
    assert steps.columns["kept"] == ["yes", "yes", "no", "no", "no"]
    differences = np.array(CHANGES[0][1])
    low, high = stats.t.interval(0.95, 3, differences.mean(), stats.sem(differences))
    assert steps.columns["interval from"][1] == pytest.approx(low)
    assert steps.columns["interval to"][1] == pytest.approx(high)
    p = stats.ttest_1samp(differences, 0).pvalue * 4
    assert steps.columns["p, corrected"][1] == pytest.approx(p)
    assert len(seeds.rows()) == 16
    assert seeds.rows()[4][:2] == ("a better one", 0)
    assert seeds.rows()[4][2] == pytest.approx(0.7)
    wanted = (
        "a better one",
        "better, kept",
        "worse, not kept",
        "cannot tell, not kept",
        "failed",
        "loss is not finite",
    )
    assert has(found.svg(), *wanted, "accuracy on the validation set", "higher is better", "mean, not kept")
    zh = draw_staircase(climb, words=ZH).svg()
    assert has(zh, "更好，保留", "更差，未保留", "无法判断，未保留", "失败", "验证集准确率", "越高越好", "a better one")


def test_two_rungs_and_fourteen_with_long_names():
    long = "learning rate that falls along a cosine after some epochs of warm-up, in place of a constant one, number"
    many = drawn(draw_staircase, climbed([(f"{long} {n}", [0.01 * n, 0.02, 0.01, 0.01]) for n in range(1, 15)]))
    few = drawn(draw_staircase, climbed(CHANGES[:2]))
    assert many.height > 2 * few.height
    assert has(many.svg(), "learning rate that falls")
    assert many.tables[0].columns["step"][14] == f"{long} 14"


def test_one_seed_has_no_interval_and_a_lower_loss_is_better():
    climb = climbed([("lower", [-0.2])], "validation_loss", higher=False, base=[0.9])
    found = drawn(draw_staircase, climb)
    assert found.tables[0].columns["interval from"][1] == -math.inf
    assert has(found.svg(), "lower is better", "(one seed)", "loss on the validation set")


def test_a_climb_that_has_only_begun():
    climb = climbed(CHANGES)
    climb.steps = climb.steps[:1]
    found = drawn(draw_staircase, climb)
    assert "0 of 4 rungs so far" in found.caption


def test_the_views_side_by_side_with_their_sums():
    climb = climbed(CHANGES)
    with pytest.raises(TreadleError, match="--ablate --alone"):
        draw_order_of_credit(climb)
    alone = climbed([("a better one", [0.1, 0.12, 0.11, 0.09])]).steps[1]
    climb.views = {"ablate": [climb.steps[1]], "alone": [alone]}
    found = drawn(draw_order_of_credit, climb)
    assert [table.name for table in found.tables] == [
        "in the order of the climb",
        "left out of the top",
        "made to the baseline alone",
    ]
    assert "made to the baseline alone +0.105" in found.caption
    assert "from baseline to top it is +0.2" in found.caption
    assert has(found.svg(), "a better one", "left out of the top", "change of accuracy on the validation set")
    climb.views = {"alone": [alone]}
    assert len(drawn(draw_order_of_credit, climb).tables) == 2
    with pytest.raises(TreadleError, match="no change of this climb was kept"):
        draw_order_of_credit(climbed(CHANGES[1:]))


def test_a_recipe_has_no_staircase():
    with pytest.raises(TreadleError, match="needs a climb"):
        figure("staircase", td.Recipe.baseline())
