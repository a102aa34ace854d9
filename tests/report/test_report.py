"""Reports of a climb and of runs: what must be in them, in both languages, whatever the names."""

import html
import importlib
import json
import re
import shutil

import pytest

import digit_climb
from drawings import chinese
from figures.test_page import Elements, require_complete
from figures.test_registry import SENTENCE
from treadle.errors import TreadleError
from treadle.figures import Source
from treadle.ladder import Ladder
from treadle.ladder.record import read_climb
from treadle.ladder.statistics import p_text
from treadle.language import Words
from treadle.recipe import Recipe
from treadle.report import report
from treadle.report.report import number, signed
from treadle.runs import train
from treadle.runs.about import read_about

pytestmark = pytest.mark.slow

LANGUAGES = ("en", "zh")
MOST = 6_000_000  # bytes, which mail still takes


@pytest.fixture(scope="module")
def reports(climb_record, diabetes_run, digits_run):
    """Reports by what they are of and language, each made once: reports(kind, language)."""
    sources, made = {"climb": climb_record, "regression": diabetes_run, "run": digits_run}, {}

    def reports(kind, language):
        if (kind, language) not in made:
            made[kind, language] = report(Source(sources[kind]), language=language, command="go")
        return made[kind, language]

    return reports


def shown(text):
    """Texts of a page that a reader sees, without those of code."""
    elements = Elements(text)
    hidden = {"script", "style", "pre", "code", "title"}
    return [data.strip() for open_, data in elements.within if open_ and not hidden & set(open_) and data.strip()]


def blocks(text):
    """Texts of a page that keep their lines: recipes, ladders, the network."""
    return [html.unescape(one) for one in re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["climb", "regression"])
def test_it_is_complete_small_and_in_one_language(kind, language, reports, climb_record):
    text = reports(kind, language)
    require_complete(text)
    assert len(text.encode("utf-8")) < MOST
    given = [step.name_zh for step in digit_climb.ladder().rung if step.name_zh]
    names = [step.name for step in digit_climb.ladder().rung]
    failed = [step.failed for step in read_climb(climb_record).steps if step.failed]
    for said in shown(text):
        if language == "en":
            assert not chinese(said.translate({ord(c): None for name in given for c in name}))
            continue
        for name in names:
            said = said.replace(name, "")
        why = said.removeprefix("失败：").rstrip("…")  # errors are told in English
        assert not SENTENCE.search(said) or any(why in error for error in failed), said


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_climb_tells_verdicts_intervals_and_how_to_repeat_it(language, reports, climb_record):
    climb, text = read_climb(climb_record), reports("climb", language)
    seen = " ".join(shown(text))
    verdicts = {"en": ["better", "failed", "cannot tell"], "zh": ["更好", "失败", "无法判断"]}[language]
    for wanted in verdicts:
        assert wanted in seen
    low, high = climb.steps[1].comparison.interval
    between = {"en": "to", "zh": "至"}[language]
    assert f"{low:+.4f} {between} {high:+.4f}" in seen
    assert {"en": "all the same", "zh": "完全相同"}[language] in seen  # of a change that changes nothing
    assert climb.steps[2].failed in seen
    low, high = climb.final.comparison.interval
    assert f"{low:+.4f} {between} {high:+.4f}" in seen
    assert f"{climb.final.samples.only_after}" in seen
    for step in climb.steps:
        if step.values:
            assert f"{sum(step.values) / 3:.4f}" in seen
    for trial in climb.steps[1].sweep.trials:
        assert f"optimizer.lr = {trial.values['optimizer.lr']}" in text
        assert f"{sum(trial.scores) / 2:.4f}" in seen
    name = {"en": "a learning rate of several", "zh": "几个学习率中的一个"}[language]
    assert name in seen
    assert Source(climb_record).sets.fingerprint() in text
    recipes = [one for one in blocks(text) if "optimizer]" in one]
    assert [Recipe.from_toml(one) for one in recipes if "[[rung]]" not in one] == [climb.top.recipe]
    assert [Ladder.from_toml(one) for one in recipes if "[[rung]]" in one] == [climb.ladder]
    assert "<code>go climb ladder.toml</code>" in text


def test_a_hostile_name_is_a_name(reports):
    for language in LANGUAGES:
        text = reports("climb", language)
        assert digit_climb.HOSTILE in " ".join(shown(text))
        assert digit_climb.HOSTILE not in text
        assert not [tag for tag, attributes in Elements(text).found if tag == "img"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_regression_tells_its_scores_and_its_recipe(language, reports, diabetes_run):
    text, about = reports("regression", language), read_about(diabetes_run)
    seen = " ".join(shown(text))
    assert number(about.test["loss"]) in seen
    for value in about.test["loss_interval"]:
        assert number(value) in seen
    assert diabetes_run.name in seen
    assert [Recipe.from_toml(one) for one in blocks(text) if "[optimizer]" in one] == [digit_climb.recipe("diabetes")]
    assert {"en": "Predicted and true", "zh": "预测"}[language].split()[0] in seen
    assert "<code>go run recipe.toml</code>" in text


@pytest.fixture
def without_figures(monkeypatch):
    """Leave figures out, which take most of the time."""
    monkeypatch.setattr(importlib.import_module("treadle.report.report"), "_figures", lambda *arguments: [])


def test_a_run_that_was_not_tested_or_not_finished_is_told(tmp_path, without_figures):
    recipe = digit_climb.recipe("wine", **{"network.layers": ["linear 3"], "training.epochs": 2})
    sets, folder = recipe.load_data(), tmp_path / "untested"
    folder.mkdir()
    train(recipe, sets, folder, test=False)
    for language, wanted in (("en", "The test set was not looked at."), ("zh", "没有查看测试集。")):
        text = report(Source(folder), language=language)
        require_complete(text)
        assert wanted in shown(text)
        assert not {"This run is not finished", "此运行尚未完成"} & set(shown(text))
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for status, wanted in (
        ("running", ("running, or was ended", "正在进行，或已被中止")),
        ("interrupted", ("interrupted", "被中断")),
        ("failed", ("failed", "失败")),
    ):
        (folder / "run.json").write_text(json.dumps({**about, "status": status}), encoding="utf-8")
        english, other = (" ".join(shown(report(Source(folder), language=language))) for language in LANGUAGES)
        assert f"This run is not finished : {wanted[0]}. " in english
        assert f"此运行尚未完成 ：{wanted[1]}。" in other
    (folder / "weights.safetensors").unlink()
    with pytest.raises(TreadleError, match="weights"):
        report(Source(folder))


@pytest.fixture
def changed(climb_record, climb_folder, tmp_path):
    """The record of the climb with other values: changed(change) gives it beside its runs."""

    def changed(change):
        record = json.loads(climb_record.read_text(encoding="utf-8"))
        change(record)
        shutil.copytree(climb_folder / "runs", tmp_path / "runs")
        (tmp_path / "climb.json").write_text(json.dumps(record), encoding="utf-8")
        return tmp_path / "climb.json"

    return changed


def test_findings_and_the_network_are_told_in_the_language_of_the_report(tmp_path, without_figures):
    recipe = digit_climb.recipe("wine", **{"network.layers": ["linear 3"], "optimizer.lr": 1e4, "training.epochs": 3})
    folder = tmp_path / "fast"
    folder.mkdir()
    sets = recipe.load_data()
    (finding, *_) = train(recipe, sets, folder, test=False).findings
    for words, headings in ((Words("en"), "layer is output"), (Words("zh"), "层 类型 输出")):
        text = report(Source(folder), language=words.language)
        seen = " ".join(shown(text))
        assert all(part in seen for part in (finding.name(words), *finding.told(words)))
        assert headings in [" ".join(block.split()[:3]) for block in blocks(text)]
    assert not SENTENCE.search(seen.replace("treadle climb", ""))


def test_a_climb_without_a_change_that_helped(changed, without_figures):
    record = changed(lambda told: told.update(steps=told["steps"][:1], views={}, final=None))
    for language, wanted in (("en", "No change was kept: "), ("zh", "没有保留任何改动：")):
        assert wanted in " ".join(shown(report(Source(record), language=language)))


def test_a_final_comparison_without_an_interval_has_none(changed, without_figures):
    def change(told):
        told["final"]["comparison"].update(interval=[None, None], test="none: one seed", p=1.0)

    record = changed(change)
    english, other = (" ".join(shown(report(Source(record), language=language))) for language in LANGUAGES)
    assert "a change of +0.7210 (none: one seed, p 1.000)" in english
    assert "变化 +0.7210（没有检验：只有一个种子，p 1.000）" in other


def test_a_recipe_has_no_report():
    with pytest.raises(TreadleError, match="needs a run"):
        report(Source(digit_climb.recipe()))


def test_numbers():
    assert [number(v) for v in (0.5, 0.98765, 1e-5, 2961.25, 0.0, float("nan"))] == [
        "0.5000", "0.9877", "1e-05", "2961", "0", "nan",
    ]  # fmt: skip
    assert [signed(v) for v in (0.5, -0.25, 12.345, -0.0)] == ["+0.5000", "-0.2500", "+12.35", "-0.0000"]
    assert [p_text(v) for v in (0.0001, 0.001, 0.0499, 1.0)] == ["<0.001", "0.001", "0.050", "1.000"]
