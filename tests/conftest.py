"""Settings of all tests, what several of them train once, and processes for climbs."""

import importlib
import os

import hypothesis
import pytest
from filelock import FileLock

# A deadline would be an assertion on time, which a busy machine fails. `--hypothesis-seed` repeats a failure.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Make a folder in the first process of the tests that asks for it: made_once(name, make) gives its path."""

    def made_once(name, make):
        base = tmp_path_factory.getbasetemp()
        base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        folder, done = base / name, base / f"{name}.done"
        with FileLock(base / f"{name}.lock"):
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made_once


@pytest.fixture(scope="session")
def climb_folder(made_once):
    """A folder with a climb on the digits, as `digit_climb` has it, with its other views."""
    import digit_climb
    from treadle.ladder import climb

    return made_once(
        "climb", lambda folder: climb(digit_climb.ladder(), folder, workers=1, views=("climb", "ablate", "alone"))
    )


@pytest.fixture(scope="session")
def climb_record(climb_folder):
    """The record of that climb."""
    (record,) = climb_folder.glob("*.json")
    return record


@pytest.fixture(scope="session")
def digits_run(made_once):
    """The folder of a run on the digits."""
    return made_once("digits-run", lambda folder: trained(folder, "digits"))


@pytest.fixture(scope="session")
def diabetes_run(made_once):
    """The folder of a run of a regression."""
    return made_once("diabetes-run", lambda folder: trained(folder, "diabetes"))


def trained(folder, source):
    import digit_climb
    from treadle.runs import train

    recipe = digit_climb.recipe(source)
    folder.mkdir()
    train(recipe, recipe.load_data(), folder)


@pytest.fixture(scope="module")
def kept_workers():
    """Climbs of this module train in processes that are kept until its end: other modules count their processes."""
    import kept_workers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("treadle.ladder.climb"), "Workers", kept_workers.KeptWorkers)
        yield
    kept_workers.end()
