"""Metrics: how good predictions are, with a 95 % interval for what would be seen on further data."""

from treadle.metrics.calibration import Calibration, calibration_of
from treadle.metrics.classes import ClassReport, class_report
from treadle.metrics.intervals import (
    Score,
    median_interval,
    normal_interval,
    percentile_interval,
    positive_interval,
    ratio_interval,
    wilson_interval,
)
from treadle.metrics.metric import (
    METRICS,
    NO_CLASS,
    Metric,
    absolute,
    correct,
    predicted_class,
    require_fit,
    squared,
    top_k,
)
from treadle.metrics.values import ValueReport, value_report

__all__ = [
    "METRICS",
    "NO_CLASS",
    "Calibration",
    "ClassReport",
    "Metric",
    "Score",
    "ValueReport",
    "absolute",
    "calibration_of",
    "class_report",
    "correct",
    "median_interval",
    "normal_interval",
    "percentile_interval",
    "positive_interval",
    "predicted_class",
    "ratio_interval",
    "require_fit",
    "squared",
    "top_k",
    "value_report",
    "wilson_interval",
]
