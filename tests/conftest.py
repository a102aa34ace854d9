"""Settings of all tests."""

import hypothesis

# A deadline would be an assertion on time, which a busy machine fails. `--hypothesis-seed` repeats a failure.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")
