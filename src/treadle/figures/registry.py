"""All figures by name: what each shows, its number in the course, and what it is drawn from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from treadle.data import Sets
from treadle.errors import TreadleError, suggest
from treadle.figures.absolute import draw_squared_and_absolute, squared_and_absolute_of
from treadle.figures.classes import calibration_of_run, confusion_of, draw_calibration, draw_confusion
from treadle.figures.concepts import draw_cross_entropy, draw_descent, draw_sigmoid, draw_softmax
from treadle.figures.curves import curves_of, draw_learning_curves
from treadle.figures.data_tree import draw_data_tree
from treadle.figures.drawing import Drawing
from treadle.figures.histograms import draw_histograms, histograms_of
from treadle.figures.layers import draw_feature_maps, draw_filters, filters_of, maps_of
from treadle.figures.lr_range import draw_lr_range
from treadle.figures.measured import lr_range_of, surface_of, timeline_of
from treadle.figures.mistakes import draw_mistakes, mistakes_of
from treadle.figures.scaling import draw_scaling, scaling_of
from treadle.figures.sheet import draw_sheet
from treadle.figures.source import Kind, Source
from treadle.figures.staircase import climb_of, draw_order_of_credit, draw_staircase
from treadle.figures.surface import draw_surface
from treadle.figures.timeline import draw_timeline
from treadle.figures.values import draw_predictions, predictions_of
from treadle.figures.weights import gradient_of, weights_of
from treadle.figures.weights_surface import draw_gradient, draw_weights_surface
from treadle.ladder import Climb
from treadle.language import ENGLISH, Language, Words, system_language
from treadle.recipe import Recipe
from treadle.train import Run


@dataclass(frozen=True)
class Figure:
    """A figure of the registry.

    Args:
        shows: what it shows, in English and in Chinese.
        draw: from what it is drawn from, to the drawing.
        needs: what it is drawn from.
        take: what of it, as arguments of `draw`; settings of one's own go here where it takes keyword arguments.
        number: in the course.
    """

    shows: tuple[str, str]
    draw: Callable[..., Drawing]
    needs: Kind = "nothing"
    take: Callable[..., tuple[Any, ...]] = field(default=lambda source: ())  # noqa: ARG005
    number: int | None = None

    def settings(self) -> dict[str, inspect.Parameter]:
        """Return the settings that it takes, by name."""
        return {**_keywords(self.take), **_keywords(self.draw)}

    def made(self, source: Source, words: Words = ENGLISH, /, **settings: Any) -> Drawing:
        """Draw it.

        Raises:
            TreadleError: there is no such setting; what it is drawn from does not have what it needs.
        """
        known = self.settings()
        for name in settings:
            if name not in known:
                raise TreadleError(f"this figure has no setting {name!r}: {suggest(name, known)}")
            _require_type(name, settings[name], known[name])
        mine = _keywords(self.take)
        taken = self.take(source, **{name: value for name, value in settings.items() if name in mine})
        rest = {name: value for name, value in settings.items() if name not in mine}
        return self.draw(*taken, **rest, words=words)


def _keywords(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "words"
    }


def _require_type(name: str, value: Any, parameter: inspect.Parameter) -> None:
    """Raise TreadleError where a setting is not of the type that its parameter has."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    if parameter.annotation is inspect.Parameter.empty:
        return
    plain = value.tolist() if hasattr(value, "tolist") else value  # of NumPy
    try:
        TypeAdapter(parameter.annotation, config=ConfigDict(strict=True)).validate_python(plain)
    except ValidationError as error:
        expected = " or ".join(
            dict.fromkeys(
                "a list" if "Sequence" in one["msg"] else one["msg"].removeprefix("Input should be ")
                for one in error.errors(include_url=False)
            )
        )
        raise TreadleError(f"the setting {name} should be {expected}, found {str(value)[:200]!r}") from None


FIGURES: dict[str, Figure] = {
    # of the course, by their numbers
    "data_tree": Figure(
        ("tree of the data set: three sets, their inputs and targets", "数据集的树形结构：三个集合及其输入与目标"),
        draw_data_tree,
        "recipe",
        lambda source: (source.sets,),
        3,
    ),
    "scaling": Figure(
        ("loss over two weights, features unscaled and scaled", "两个权重上的损失：特征未缩放与缩放后"),
        draw_scaling,
        "recipe",
        scaling_of,
        4,
    ),
    "timeline": Figure(
        (
            "synchronous and asynchronous reading on a time line, with the queue's fill",
            "时间线上的同步与异步读取，以及队列中的批次数",
        ),
        draw_timeline,
        "recipe",
        timeline_of,
        5,
    ),
    "sigmoid": Figure(("sigmoid on [−8, 8)", "sigmoid 函数，[−8, 8)"), draw_sigmoid, number=6),
    "softmax": Figure(
        ("softmax of some scores, through e^z and their sum", "几个得分经 e^z 与归一化成为 softmax"),
        draw_softmax,
        number=8,
    ),
    "cross_entropy": Figure(
        (
            "cross-entropy −log p of one sample, with −log 0.6 and −log 0.1",
            "单个样本的交叉熵 −log p，标出 −log 0.6 与 −log 0.1",
        ),
        draw_cross_entropy,
        number=18,
    ),
    "weights_surface": Figure(
        (
            "loss over two weights, all others fixed, and descent on them",
            "两个权重上的损失（其他权重固定）及其上的梯度下降",
        ),
        draw_weights_surface,
        "recipe",
        weights_of,
        41,
    ),
    "squared_and_absolute": Figure(
        ("squared against absolute error over one parameter", "平方误差与绝对误差随一个参数的变化"),
        draw_squared_and_absolute,
        "recipe",
        squared_and_absolute_of,
        42,
    ),
    "gradient": Figure(
        ("the gradient points uphill, the step goes against it", "梯度指向上坡，更新沿其反方向"),
        draw_gradient,
        "recipe",
        gradient_of,
        48,
    ),
    "descent": Figure(
        ("paths of four optimisers in a narrow valley", "四种优化器在狭长山谷中的路径"), draw_descent, number=49
    ),
    "learning_rate": Figure(
        ("loss by step for a learning rate too small, right, too large", "学习率太小、合适、太大时各步的损失"),
        draw_lr_range,
        "recipe",
        lr_range_of,
        50,
    ),
    # of data and training
    "sheet": Figure(
        ("samples of the training set, or how its values are distributed", "训练集的样本，或其数值的分布"),
        draw_sheet,
        "recipe",
        lambda source: (source.sets,),
    ),
    "surface": Figure(
        ("loss over a plane of the parameters, with the optimiser's path", "参数平面上的损失与优化器的路径"),
        draw_surface,
        "recipe",
        surface_of,
    ),
    # of a run
    "learning_curves": Figure(
        ("losses and scores by epoch; of a climb with all seeds", "各轮的损失与指标；攀登则包含所有种子"),
        draw_learning_curves,
        "run",
        curves_of,
    ),
    "confusion": Figure(
        ("which classes are taken for which", "哪些类别被认作哪些类别"), draw_confusion, "run", confusion_of
    ),
    "mistakes": Figure(("the samples with the largest losses", "损失最大的样本"), draw_mistakes, "run", mistakes_of),
    "calibration": Figure(
        ("whether probabilities are what they claim to be", "概率是否名副其实"),
        draw_calibration,
        "run",
        calibration_of_run,
    ),
    "predictions": Figure(
        ("predicted against true numbers, and the residuals", "预测值与真实值，以及残差"),
        draw_predictions,
        "run",
        predictions_of,
    ),
    "filters": Figure(("weights of a layer as images", "一层的权重图像"), draw_filters, "run", filters_of),
    "feature_maps": Figure(
        ("what each layer makes of a sample", "各层对一个样本的输出"), draw_feature_maps, "run", maps_of
    ),
    "histograms": Figure(
        ("weights and gradients of each layer over the steps", "各层权重与梯度随训练步的分布"),
        draw_histograms,
        "recipe",
        histograms_of,
    ),
    # of a climb
    "staircase": Figure(
        ("what each change did, seed by seed, and the verdict", "每项改动逐种子的效果与判定"),
        draw_staircase,
        "climb",
        climb_of,
    ),
    "order_of_credit": Figure(
        ("what each change is worth in another order", "换一种次序时各项改动的价值"),
        draw_order_of_credit,
        "climb",
        climb_of,
    ),
}


def figure(
    name: str,
    source: Recipe | Sets | Run | Climb | Source | Path | str | None = None,
    /,
    *,
    language: Language | None = None,
    **settings: Any,
) -> Drawing:
    """Draw a figure of the registry.

    Args:
        name: of the figure.
        source: what it is drawn from, as `Source` takes it; the baseline on MNIST unless told.
        language: of its texts, "en" or "zh"; that of the system unless told.
        settings: of this figure.

    Raises:
        TreadleError: there is no such figure or setting; the source does not have what the figure needs.

    >>> [round(share, 5) for share in figure("softmax", language="en", scores=[3, 1, -3]).tables[0].columns["softmax"]]
    [0.87888, 0.11894, 0.00218]
    """
    if name not in FIGURES:
        raise TreadleError(f"no figure is called {name!r}: {suggest(name, FIGURES)}")
    given = source if isinstance(source, Source) else Source(source)
    return FIGURES[name].made(given, Words(language or system_language()), **settings)
