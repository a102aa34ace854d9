"""Settings of all tests, and processes for climbs."""

import importlib

import hypothesis
import pytest

# A deadline would be an assertion on time, which a busy machine fails. `--hypothesis-seed` repeats a failure.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def kept_processes():
    """The class of workers whose processes the next climb takes over; they end with the tests."""
    import kept_workers

    yield kept_workers.KeptWorkers
    kept_workers.end()


@pytest.fixture(scope="module")
def kept_workers(kept_processes):
    """Climbs of this module train in processes that are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("treadle.ladder.climb"), "Workers", kept_processes)
        yield
