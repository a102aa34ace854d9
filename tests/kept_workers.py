"""Processes that outlive the climbs which train in them: to start one costs more than all that a test trains in it."""

from pathlib import Path

from treadle.ladder.workers import Workers

_kept = {}  # by working folder, which a process keeps


class KeptWorkers(Workers):
    """Workers like any, whose processes the next take over, unless they were left in the middle of jobs."""

    def __init__(self, count):
        super().__init__(count)
        self._folder = Path.cwd()
        self._processes = _kept.pop(self._folder, {})
        self._idle = True

    def carry_out(self, jobs):
        self._idle = False
        yield from super().carry_out(jobs)
        self._idle = True

    def __exit__(self, *error):
        if self._idle and self._folder not in _kept:
            _kept[self._folder] = self._processes
        else:
            super().__exit__(*error)


def end():
    """End the processes that were kept."""
    while _kept:
        with Workers(1) as workers:
            workers._processes = _kept.popitem()[1]
