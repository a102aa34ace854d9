"""The worst mistakes: the samples whose losses are largest, of images, of tables and of numbers."""

import numpy as np
import pytest

from drawings import chinese, has
from small_sets import fit, line, pictures, three_classes
from treadle.errors import TreadleError
from treadle.figures import figure
from treadle.nn import Flatten, Linear, Sequential


def test_images_with_target_prediction_probabilities_and_loss():
    run = fit(pictures(), Sequential(Flatten(), Linear(4)), epochs=2)
    part = run.sets.validation
    probabilities = run.predict(part.inputs)
    losses = -np.log(probabilities[np.arange(len(part)), part.targets].astype(np.float64))
    one = figure("mistakes", run, language="en", count=4)
    (table,) = one.tables
    worst = np.argsort(losses)[::-1][:4].tolist()
    assert table.columns["sample"] == worst
    np.testing.assert_allclose(table.columns["loss"], [losses[row] for row in worst], rtol=1e-4)
    assert table.columns["target"] == [part.classes[part.targets[row]] for row in worst]
    assert table.columns["prediction"] == [part.classes[probabilities[row].argmax()] for row in worst]
    np.testing.assert_allclose(
        table.columns["probability of the prediction"], probabilities[worst].max(axis=1), rtol=1e-5
    )
    target, found = table.columns["target"][0], table.columns["prediction"][0]
    assert has(one.svg(), f"{worst[0]}: {target} → {found}", "p = ", "loss ")
    zh = figure("mistakes", run, language="zh", count=4)
    assert has(zh.svg(), "损失")
    assert chinese(zh.title)
    assert chinese(zh.caption)


def test_rows_show_the_features_farthest_from_the_mean():
    sets = three_classes()
    run = fit(sets)
    one = figure("mistakes", run, language="en", count=2)
    row = one.tables[0].columns["sample"][0]
    x = sets.train.inputs
    far = np.abs((sets.validation.inputs[row] - x.mean(0)) / x.std(0)).argmax()
    assert has(one.svg(), f"{far} = {sets.validation.inputs[row, far]:.4g}")
    assert [one.tables[0].columns[str(n)][0] for n in range(4)] == sets.validation.inputs[row].tolist()


def test_numbers_have_their_largest_errors():
    run = fit(line(noise=0.5), Sequential(Linear(1)))
    part = run.sets.validation
    errors = (run.predict(part.inputs)[:, 0] - part.targets) ** 2
    one = figure("mistakes", run, language="en", count=20)
    assert one.tables[0].columns["sample"][0] == errors.argmax()
    np.testing.assert_allclose(one.tables[0].columns["loss"], np.sort(errors)[::-1][:20], rtol=1e-4)
    one.svg()


def test_constant_features_and_a_count_that_is_none():
    sets = three_classes()
    for part in sets.parts().values():
        part.inputs[:, 3] = 7.0
    run = fit(sets)
    figure("mistakes", run).svg()
    with pytest.raises(TreadleError, match="between 1 and 20"):
        figure("mistakes", run, count=0)
