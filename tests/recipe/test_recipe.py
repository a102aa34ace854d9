# ruff: noqa: E501 - a case a line
import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.errors import RecipeError
from treadle.losses import CrossEntropy
from treadle.nn import Flatten, Linear, Sequential
from treadle.optim import SGD, Cosine, Momentum, Warmup
from treadle.recipe import CHOICES, Recipe

VALID = """\
[network]
preset = "softmax"

[loss]
kind = "cross_entropy"

[optimizer]
kind = "sgd"
lr = 0.1
"""
LAYERS = """\
network.layers = [
    "flatten",
    "linear 10",
    "relu",
    "{}",
]
loss.kind = "cross_entropy"
optimizer = {{ kind = "sgd", lr = 0.1 }}
"""


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "r.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Recipe.read(path)

    return read


@pytest.fixture
def refusal(read, tmp_path):
    """The message with which a recipe is refused, its file named r.toml."""

    def refusal(content):
        with pytest.raises(RecipeError) as caught:
            read(content)
        return str(caught.value).replace(str(tmp_path / "r.toml"), "r.toml")

    return refusal


def test_baseline_round_trip(read):
    baseline = Recipe.baseline()
    assert read(baseline.to_toml()) == baseline
    assert (baseline.network.preset, baseline.loss.kind, baseline.optimizer.kind) == (
        "baseline",
        "squared_error",
        "sgd",
    )


def test_stages_left_out_take_their_defaults(read):
    recipe = read(VALID)
    assert (recipe.data.source, recipe.data.batch_size, recipe.training.epochs) == ("mnist", 100, 1)
    assert isinstance(recipe.build_loss(), CrossEntropy)
    assert recipe.build_optimizer() == SGD(0.1)
    assert repr(recipe.build_network("0123456789", (1, 28, 28))) == repr(Sequential(Flatten(), Linear(10)))


def test_schedules_and_penalties_are_part_of_the_optimizer(read):
    text = VALID + 'schedule = ["warmup 5 begin=0.0 by=step", "cosine 3"]\nclip_norm = 2.5\nl1 = 0.1\n'
    recipe = read(text)
    assert recipe.build_schedule() == [Warmup(5, 0.0, "step"), Cosine(3)]
    assert recipe.build_optimizer() == SGD(0.1, l1=0.1, clip_norm=2.5)
    assert read(recipe.to_toml()) == recipe
    assert read(VALID).build_schedule() == []
    # another kind keeps what it shares with the old one
    assert recipe.change({"optimizer.kind": "adam"}).build_schedule() == recipe.build_schedule()


def test_layers_take_the_arguments_of_their_class(read):
    recipe = read(LAYERS.format("linear 10 bias=false weight_init=he_normal"))
    assert list(recipe.build_network("0123456789", (1, 28, 28)).layers.values())[3] == Linear(
        10, bias=False, weight_init="he_normal"
    )


def test_byte_order_mark_is_no_error(read):
    assert read(b"\xef\xbb\xbf" + VALID.encode()) == read(VALID)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (VALID + "lrr = 1\n", "r.toml, line 10: unknown key 'lrr' in [optimizer]: did you mean 'lr'? there are kind, lr,"),
        (
            'network.preset = "softmax"\nloss.kind = "cross_entropy"\noptimizer = { kind = "sgd", lr = 1, lrr = 1 }\n',
            "r.toml, line 3: unknown key 'lrr' in [optimizer]: did you mean 'lr'?",
        ),
        (
            'optimizer.kind = "sgd"\noptimizer.lr = 1\noptimizer.lrr = 1\n' + VALID[: VALID.index("[optim")],
            "r.toml, line 3: unknown key 'lrr' in [optimizer]: did you mean 'lr'?",
        ),
        (VALID + "\n[data]\nbatchsize = 5\n", "r.toml, line 12: unknown key 'batchsize' in [data]: did you mean 'batch_size'?"),
        (VALID + "\n[data.x]\na = 1\n", "r.toml, line 11: unknown key 'x' in [data]: there are source,"),
        (VALID + "data.x = 1\n", "r.toml, line 10: unknown key 'data' in [optimizer]: there are kind, lr,"),
        (VALID.replace('"cross_entropy"', '"crossentropy"'), "r.toml, line 5: loss.kind is 'crossentropy': did you mean 'cross_entropy'?"),
        (VALID.replace('"cross_entropy"', "[1]"), "r.toml, line 5: loss.kind is [1]: there are squared_error,"),
        (VALID.replace('"sgd"', '"os.system"'), "r.toml, line 8: optimizer.kind is 'os.system': there are sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw"),
        (VALID.replace('"softmax"', '"softmx"'), "r.toml, line 2: network.preset is 'softmx': did you mean 'softmax'?"),
        (VALID.replace('"softmax"', '"../../x"'), "r.toml, line 2: network.preset is '../../x': there are baseline,"),
        (VALID.replace('preset = "softmax"', ""), "r.toml, line 1: network: give either preset or layers"),
        (VALID.replace('"softmax"', '"softmax"\nlayers = ["flatten"]'), "r.toml, line 2: network.preset: give either preset or layers"),
        (VALID.replace('preset = "softmax"', "layers = []"), "r.toml, line 2: network.layers is empty"),
        (VALID.replace('preset = "softmax"', "layers = [3]"), "line 2: network.layers, item 1 should be a valid string, found 3"),
        (VALID.replace('kind = "cross_entropy"', ""), "r.toml, line 4: [loss] needs kind: one of squared_error,"),
        (VALID.replace("lr = 0.1", ""), "r.toml, line 7: [optimizer] needs a value for lr"),
        ("optimizer.kind = 'sgd'\n" + VALID[: VALID.index("[optim")], "r.toml, line 1: [optimizer] needs a value for lr"),
        (VALID[: VALID.index("[optim")], "r.toml: the stage [optimizer] is missing: add it with kind (sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw)"),
        (VALID + 'schedule = ["cosin 3"]\n', "r.toml, line 10: optimizer.schedule, item 1: no schedule is called 'cosin': did you mean 'cosine'?"),
        (VALID + 'schedule = ["cosine"]\n', "line 10: optimizer.schedule, item 1: schedule 'cosine': missing a required argument: 'length'; it takes length end=0.0"),
        (VALID + 'schedule = ["cosine 3 by=week"]\n', "schedule 'cosine 3 by=week': by should be 'epoch' or 'step', found 'week'"),
        (VALID + 'schedule = ["step 3", "cosine 2"]\n', "r.toml, line 10: optimizer.schedule: Step(every=3, rate=0.1, length=None, by='epoch') goes on for ever"),
        (VALID + "schedule = []\n", "r.toml, line 10: optimizer.schedule is empty"),
        (VALID + "clip_norm = 0\n", "r.toml, line 10: optimizer.clip_norm: SGD: clip_norm must be above 0"),
        (VALID.replace("0.1", '"0.1"'), "r.toml, line 9: optimizer.lr should be a valid number, found '0.1': leave out the quotes"),
        (VALID.replace("0.1", "true"), "r.toml, line 9: optimizer.lr should be a valid number, found true"),
        (VALID.replace("0.1", "-1"), "r.toml, line 9: optimizer.lr: SGD: lr must be at least 0"),
        (VALID.replace("0.1", "nan"), "r.toml, line 9: optimizer.lr: SGD: lr must be"),
        (VALID.replace("0.1", "inf"), "r.toml, line 9: optimizer.lr: SGD: lr must be"),
        (VALID.replace("0.1", "1" + "0" * 400), "r.toml, line 9: optimizer.lr should be a valid number, found 1000"),
        (VALID.replace("0.1", "1" + "0" * 5000), "r.toml: not valid TOML: Exceeds the limit (4300"),
        (VALID + '[data]\nbatch_size = "100"\n', "r.toml, line 11: data.batch_size should be a valid integer, found '100'"),
        (VALID + "[data]\nbatch_size = true\n", "r.toml, line 11: data.batch_size should be a valid integer, found true"),
        (VALID + "[data]\nbatch_size = 1.0\n", "r.toml, line 11: data.batch_size should be a valid integer, found 1.0"),
        (VALID + "[data]\nbatch_size = 0\n", "line 11: data.batch_size should be greater than or equal to 1, found 0"),
        (VALID + "[training]\nepochs = -3\n", "line 11: training.epochs should be greater than or equal to 1, found -3"),
        (VALID + "[training]\nseed = -1\n", "line 11: training.seed should be greater than or equal to 0, found -1"),
        (VALID + "[training]\nseed = 2024-01-01\n", "line 11: training.seed should be a valid integer, found 2024-01-01"),
        (VALID + '[training]\nmetrics = [\n"accuracy",\n"acuracy"]\n', "line 13: training.metrics is 'acuracy': did you mean 'accuracy'?"),
        (VALID + "[data]\nprefetch = -1\n", "line 11: data.prefetch should be greater than or equal to 0, found -1"),
        (VALID + "[data]\nworkers = 2\n", "r.toml, line 11: data.workers: workers is of those that make batches ahead"),
        (VALID + '[data]\nprefetch = 2\nworker_kind = "fork"\n', "line 12: data.worker_kind is 'fork': there are thread, process"),
        (VALID + "[data]\nprefetch = false\n", "r.toml, line 11: data.prefetch should be a valid integer, found false"),
        (VALID + "[resources]\nthreads = 0\n", "line 11: resources.threads should be greater than or equal to 1"),
        (VALID + "[resources]\nthreads = 1000000\n", "line 11: resources.threads should be less than or equal to 1024"),
        (VALID + '[resources]\ndevice = "cuda"\n', "r.toml, line 11: resources.device is 'cuda': there are cpu"),
        (VALID + "[saving]\ncheckpoint_every = 0\n", "line 11: saving.checkpoint_every should be greater than"),
        ("loss = 3\n" + VALID.replace("[loss]\nkind", "#"), "r.toml, line 1: loss should be a table, as in [loss], found 3"),
        (VALID.replace("[loss]", "[[loss]]"), "r.toml, line 4: loss should be a table, as in [loss], found [{"),
        ("[network", "r.toml: not valid TOML: Expected ']' at the end of a table declaration (at end of document)"),
        (VALID + "lr = 0.2\n", "r.toml: not valid TOML: Cannot overwrite a value (at line 10"),
        (VALID.encode() + b"# \xff", f"r.toml: byte {len(VALID) + 2} is not UTF-8: save the file as UTF-8"),
        (b"#" * (1 << 20) + b"##", "r.toml: longer than 1,048,576 bytes, so it is not a recipe"),
        ("x = " + "[" * 20_000, "r.toml: nested too deeply to be a recipe"),
        (VALID + "[data]\nsource = " + "[" * 50 + "]" * 50, "line 11: data.source should be a valid string, found [[["),
    ],
)  # fmt: skip
def test_refusal_names_line_key_and_fix(refusal, content, expected):
    message = refusal(content)
    assert expected in message
    assert len(message.splitlines()) == 1
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("lineer 10", "no layer is called 'lineer': did you mean 'linear'? there are flatten,"),
        ("__import__('os')", "no layer is called '__import__(os)': there are"),
        ("os.system ls", "no layer is called 'os.system': there are"),
        ("", "no layer is called '': there are"),
        ("linear", "layer 'linear': missing a required argument: 'units'; it takes units bias=true"),
        ("linear 0", "Linear: units must be a positive whole number, found 0"),
        ("linear 2.5", "layer 'linear 2.5': units should be a valid integer, found 2.5"),
        ("linear ten", "layer 'linear ten': units should be a valid integer, found 'ten'"),
        ("linear 10 unit=3", "got an unexpected keyword argument 'unit'; it takes units bias=true"),
        ("linear 10 units=3", "multiple values for argument 'units'"),
        ("linear 10 bias=False", "bias should be a valid boolean, found 'False'; it takes units bias=true"),
        ("linear 10 bias=true bias=false", "bias is given twice"),
        ("linear 10 weight_init=[1]", "weight_init should be a valid string, found [1]"),
        ("linear 10 weight_init=os.system", "no initialiser 'os.system'; there are zeros,"),
        ("relu 3", "layer 'relu 3': too many positional arguments; it takes no arguments"),
        ("linear '10", "No closing quotation"),
        ("conv2d 20", "missing a required argument: 'size'; it takes filters size stride=1 padding=0 dilation=1"),
        ("conv2d 20 x", "size should be a valid integer or a pair such as [3,5], found 'x'"),
        ("conv2d 20 [1,2,3]", "size should be a valid integer or a pair such as [3,5], found [1, 2, 3]"),
        ("conv2d [20,3] 5", "filters should be a valid integer, found (20, 3)"),
        ("conv2d 20 5 padding=-1", "Conv2d: padding must be a whole number of at least 0, or two, found -1"),
        ("conv2d 20 5 groups=3", "Conv2d: 3 groups must divide the 20 filters"),
        ("max_pool2d", "missing a required argument: 'size'; it takes size [stride] padding=0"),
        ("maxpool 2", "no layer is called 'maxpool': did you mean 'max_pool2d'?"),
        ("dropout 2", "Dropout: rate must be from 0 to 1, found 2"),
        ("batch_norm slow", "momentum should be a valid number, found 'slow'"),
        ("linear " + "[" * 5000, "units should be a valid integer, found '[[["),
        ("linear 1" + "0" * 5000, "units should be a valid integer, found '1000"),
    ],
)
def test_wrong_layer_names_the_line_of_its_item(refusal, layer, expected):
    message = refusal(LAYERS.format(layer))
    if len(layer) < 1000:
        assert expected in message
    assert message.startswith("r.toml, line 5: network.layers, item 4: ")
    assert len(message) < 1000


def test_long_layer_is_cut_in_the_message(refusal):
    assert "… " in refusal(LAYERS.format("linear " + "[" * 5000))


def test_every_fault_is_reported(refusal):
    content = VALID.replace("0.1", '"0.1"').replace('"softmax"', '"x"') + "[data]\nshuffle = 1\n[traning]\n"
    assert [re.match(r"r\.toml, line (\d+)", line)[1] for line in refusal(content).splitlines()] == [
        "11",
        "2",
        "9",
        "12",
    ]


@pytest.mark.parametrize(("stage", "misspelt"), [("optimizer", "optimiser"), ("loss", "Loss"), ("network", "net")])
def test_a_misspelt_stage_is_told_once(refusal, stage, misspelt):
    (told,) = refusal(VALID.replace(f"[{stage}]", f"[{misspelt}]")).splitlines()
    assert f"unknown stage [{misspelt}]: did you mean {stage!r}? there are data," in told


def test_a_misspelt_key_is_told_once_and_another_that_is_missing_as_well(refusal):
    (told,) = refusal(VALID.replace("lr = 0.1", "lrr = 0.1")).splitlines()
    assert told.startswith("r.toml, line 9: unknown key 'lrr' in [optimizer]: did you mean 'lr'?")
    missing, unknown = refusal(VALID.replace("[optimizer]", "[optimiser]").replace("[loss]", "[x]")).splitlines()[::2]
    assert "the stage [loss] is missing" in missing
    assert "unknown stage" in unknown


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('[data]\nbatch_size = "100"', "data.batch_size should be a valid integer, found '100': leave out the quotes"),
        ('[data]\nsize = [8, "9"]', "data.size, item 2 should be a valid integer, found '9': leave out the quotes"),
        ('[data]\nshuffle = "true"', "data.shuffle should be a valid boolean, found 'true': leave out the quotes"),
        ('[data]\nchannels = "3"', "data.channels is '3': expected 1 or 3: leave out the quotes"),
        ('clip_norm = "1e3"', "optimizer.clip_norm should be a valid number, found '1e3': leave out the quotes"),
        ('[data]\nbatch_size = "many"', "data.batch_size should be a valid integer, found 'many'"),
        ("[data]\nshuffle = 1", "data.shuffle should be a valid boolean, found 1"),
    ],
)
def test_numbers_in_quotes(refusal, line, told):
    assert refusal(VALID + line + "\n").endswith(told)


def test_a_ladder_is_no_recipe(refusal):
    assert (
        refusal("[baseline]\nnetwork.preset = 'softmax'\n") == "r.toml: is a ladder, not a recipe: treadle climb r.toml"
    )


def test_everything_missing_is_listed(refusal):
    assert [line.split(" is missing")[0] for line in refusal("").splitlines()] == [
        f"r.toml: the stage [{stage}]" for stage in ("network", "loss", "optimizer")
    ]


@pytest.mark.parametrize(("name", "expected"), [("none.toml", "No such file"), (".", "Is a directory")])
def test_unreadable_file(tmp_path, name, expected):
    with pytest.raises(RecipeError, match=expected) as caught:
        Recipe.read(tmp_path / name)
    assert str(tmp_path) in str(caught.value)


# change


def test_change_leaves_the_recipe_as_it_was():
    baseline = Recipe.baseline()
    assert baseline.change({"optimizer.lr": 0.5}).optimizer.lr == 0.5
    assert baseline == Recipe.baseline()


def test_preset_and_layers_replace_each_other():
    recipe = Recipe.baseline().change({"network.layers": ["flatten", "linear 1"]})
    assert recipe.network.preset is None
    assert recipe.change({"network.preset": "mlp"}).network.layers is None


def test_new_kind_keeps_shared_settings_and_drops_the_others():
    adam = Recipe.baseline().change({"optimizer.kind": "adam", "optimizer.beta1": 0.5, "optimizer.lr": 0.25})
    momentum = adam.change({"optimizer.kind": "momentum"})
    assert momentum.build_optimizer() == Momentum(0.25)
    loss = Recipe.baseline().change({"loss.halved": True}).change({"loss.kind": "cross_entropy"})
    assert loss.build_loss() == CrossEntropy()


def test_default_of_one_kind_is_no_setting_of_another():
    adam = Recipe.from_toml(VALID.replace('"sgd"\nlr = 0.1', '"adam"'), "r.toml")
    with pytest.raises(RecipeError, match=r"\[optimizer\] needs a value for lr"):
        adam.change({"optimizer.kind": "sgd"})


@pytest.mark.parametrize("order", [1, -1])
def test_settings_given_with_a_new_kind_are_not_dropped(order):
    changes = dict([("optimizer.beta3", 0.5), ("optimizer.kind", "adam")][::order])
    with pytest.raises(RecipeError, match="unknown key 'beta3' in \\[optimizer\\]: did you mean 'beta"):
        Recipe.baseline().change(changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"lr": 1}, "'lr' is not stage.key, such as optimizer.lr; stages are data, network,"),
        ({"optimiser.lr": 1}, "did you mean optimizer.lr?"),
        ({"optimizer": 1}, "'optimizer' is not stage.key"),
        ({"optimizer.lr.x": 1}, "'optimizer.lr.x' is not stage.key"),
        ({"optimizer.lrr": 1}, "unknown key 'lrr' in [optimizer]: did you mean 'lr'?"),
        ({"optimizer.lr": "x"}, "optimizer.lr should be a valid number, found 'x'"),
        ({"optimizer.kind": "agd"}, "optimizer.kind is 'agd': did you mean 'sgd'?"),
        ({"optimizer.kind": ["sgd"]}, "optimizer.kind is ['sgd']: there are sgd"),
        ({"data.source": "\udcff"}, "data.source: a recipe is UTF-8"),
        ({"network.preset": "mlp", "network.layers": ["flatten"]}, "give either preset or layers"),
        ({"network.layers": ["flatten"], "network.preset": "mlp"}, "give either preset or layers"),
    ],
)
def test_refused_change(changes, expected):
    with pytest.raises(RecipeError) as caught:
        Recipe.baseline().change(changes, "--set")
    assert expected in str(caught.value)
    assert str(caught.value).startswith("--set: ")


def test_preset_that_does_not_fit_the_loss():
    recipe = Recipe.baseline().change({"loss.kind": "cross_entropy"})
    with pytest.raises(RecipeError, match=r"baseline\.toml, line 9: \[network\]: .*take the preset 'softmax'"):
        recipe.build_network("0123456789", (1, 28, 28))


# any text, any recipe

FRAGMENTS = st.sampled_from(
    [
        *VALID.splitlines(),
        *CHOICES,
        *(f"[{stage}]" for stage in CHOICES),
        "[[loss]]",
        "[data.x]",
        "loss.kind.x = 1",
        'optimizer = { kind = "sgd", lr = 1, x = 2 }',
        "optimizer.lr = 'x'",
        "layers = ['linear 0', '''",
        "'''",
        "]",
        "#",
    ]
)


@settings(max_examples=300)
@given(
    st.one_of(st.text(), st.lists(FRAGMENTS).map("\n".join), st.lists(st.one_of(FRAGMENTS, st.text())).map("\n".join))
)
def test_any_text_is_a_recipe_or_refused(text):
    try:
        assert isinstance(Recipe.from_toml(text, "r.toml"), Recipe)
    except RecipeError as error:
        lines = [int(line) for line in re.findall(r"^r\.toml, line (\d+): ", str(error), re.M)]
        assert all(1 <= line <= text.count("\n") + 1 for line in lines)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from([*CHOICES, "x"]), st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["kind", "lr", "layers", "preset", "y"]), inner),
)))  # fmt: skip
def test_any_change_is_a_recipe_or_refused(values):
    changes = {
        f"{stage}.{key}": v for stage, inner in values.items() if isinstance(inner, dict) for key, v in inner.items()
    }
    with suppress(RecipeError):
        assert isinstance(Recipe.baseline().change(changes), Recipe)


def one_of(stage, key):
    return st.sampled_from(list(CHOICES[stage][key]))


numbers = st.floats(0, 1e300, exclude_max=True)
below_one = st.floats(0, 1, exclude_max=True)
RECIPES = st.fixed_dictionaries(
    {
        "network": st.one_of(
            st.fixed_dictionaries({"preset": one_of("network", "preset")}),
            st.fixed_dictionaries(
                {
                    "layers": st.lists(
                        st.sampled_from(["flatten", "relu", "linear 3 bias=false"])
                        | st.integers(1, 2**40).map("linear {} weight_init='he_normal'".format),
                        min_size=1,
                    )
                }
            ),
        ),
        "loss": st.one_of(
            st.fixed_dictionaries({"kind": st.just("squared_error")}, optional={"halved": st.booleans()}),
            st.fixed_dictionaries({"kind": st.just("cross_entropy")}, optional={"from_probabilities": st.booleans()}),
        ),
        "optimizer": st.one_of(
            st.fixed_dictionaries({"kind": st.just("momentum"), "lr": numbers}, optional={"momentum": below_one}),
            st.fixed_dictionaries({"kind": st.just("adam")}, optional={"beta1": below_one, "epsilon": st.floats(1e-30, 1.0)}),
        ),
    },
    optional={
        "data": st.fixed_dictionaries(
            {}, optional={"source": st.text(st.characters(codec="utf-8")), "batch_size": st.integers(1), "shuffle": st.booleans()}
        ),
        "resources": st.fixed_dictionaries({}, optional={"threads": st.integers(1, 1024)}),
        "training": st.fixed_dictionaries({}, optional={"seed": st.integers(0), "metrics": st.lists(one_of("training", "metrics"), unique=True)}),
        "saving": st.fixed_dictionaries({}, optional={"checkpoint_every": st.integers(1)}),
    },
)  # fmt: skip


@settings(max_examples=100)
@given(RECIPES)
def test_any_recipe_survives_toml(values):
    recipe = Recipe.model_validate(values)
    again = Recipe.from_toml(recipe.to_toml(), "again.toml")
    assert again == recipe
    assert again.to_dict() == recipe.to_dict()


def test_a_metric_named_twice_is_refused():
    with pytest.raises(RecipeError, match="a metric is named twice: accuracy, accuracy"):
        Recipe.baseline().change({"training.metrics": ["accuracy", "accuracy"]})
