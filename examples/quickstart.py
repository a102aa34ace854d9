"""The pieces in Python: this program must run as it stands, from a clean install, without network."""

import treadle as td

sets = td.data.load("mnist")  # .train, .validation, .test: 50,000 / 10,000 / 10,000
print(sets)  # sizes, shapes, types, range, classes: what a person checks first

network = td.nn.Sequential(
    td.nn.Conv2d(20, 5, padding=2),
    td.nn.ReLU(),
    td.nn.MaxPool2d(2),
    td.nn.Conv2d(20, 5, padding=2),
    td.nn.ReLU(),
    td.nn.MaxPool2d(2),
    td.nn.Flatten(),
    td.nn.Linear(10),
)  # sizes of inputs are inferred from the data
print(td.summary(network, sets.train))  # layer, output shape, parameters, multiply-adds

run = td.fit(
    network,
    sets,
    loss="cross_entropy",  # names and objects are both taken
    optimizer=td.optim.Adam(1e-3),
    batch_size=100,
    epochs=2,
    seed=0,
)
for epoch in run.history:  # one plain dict an epoch
    print(epoch["epoch"], epoch["train_loss"], epoch["validation_accuracy"], epoch["seconds"])

assert run.history[-1]["validation_accuracy"] > 0.98
score = run.test()  # the one look at the test set: value and 95 % interval
print(score["accuracy"], score["accuracy_interval"])
print(run.predict(sets.test.images[:5]))  # class probabilities, shape (5, 10)
