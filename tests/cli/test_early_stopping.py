"""What the command line tells of a run that stopped early, and of averaged weights."""

import json


def test_the_report_says_that_and_why_and_resume_that_it_is_finished(cli, recipe):
    steep = ("--set", "optimizer.lr=3.0", "--set", "training.epochs=40", "--set", "training.patience=1")
    code, out, err = cli("run", "--json", recipe, *steep)
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    epochs = sum(line["event"] == "epoch" for line in lines)
    best = epochs - 1
    why = f"no validation loss lower than that of epoch {best} in the 1 epoch after it"
    assert epochs < 40
    assert (lines[-1]["stopped_early"], lines[-1]["weights_epoch"]) == (why, best)
    code, out, _ = cli("run", recipe, *steep)
    assert code == 0
    assert f"stopped early after epoch {epochs} of 40: {why}" in out
    for more in ((), ("--epochs", "50")):
        code, out, err = cli("resume", lines[-1]["folder"], *more)
        assert (code, out) == (2, "")
        assert f"is finished: it stopped early after {epochs} epochs, for there was {why}" in err


def test_the_report_tells_averaged_weights(cli, recipe):
    code, out, err = cli("run", recipe, "--set", "training.averaging=ema 0.9")
    assert (code, err) == (0, "")
    assert "the weights kept are the averaged ones of epoch 3, with the lowest validation loss" in out
