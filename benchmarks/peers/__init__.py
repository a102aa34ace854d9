"""One module a peer. Each has MODELS, from the name of a model to a class with

__init__(setting, data)
train(epochs, seed) -> Epochs     time of the training alone: shuffling and steps, no evaluation
accuracy() -> float               on the test set
"""

# name of the module here: (names to import, names of the distributions)
PEERS = {
    "treadle": (["treadle"], ["numpy"]),
    "torch": (["torch"], ["torch"]),
    "keras": (["keras", "tensorflow"], ["keras", "tensorflow"]),
    "jax": (["jax"], ["jax", "jaxlib"]),
    "sklearn": (["sklearn"], ["scikit-learn"]),
}
