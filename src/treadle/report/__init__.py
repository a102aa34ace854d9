"""The report: one page of HTML on a run or a climb, complete in itself."""

from treadle.report.report import report

__all__ = ["report"]
