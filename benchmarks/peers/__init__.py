"""The peers. Each module of this package has a class `Trainer` with

__init__(setting, data, variant)  raises Absent where this peer cannot train the model
parameters: int                   how many numbers are trained
train(epochs, seed) -> Epochs     time of the training alone: shuffling and steps, no evaluation
accuracy() -> float               on the test set
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A way to train: a module here, what it imports and where its version is found, and the variant of it."""

    module: str
    imports: tuple[str, ...]
    distributions: tuple[str, ...]
    variant: str = ""


PEERS = {
    "treadle": Peer("treadle", ("treadle",), ("numpy", "numba")),
    "torch": Peer("torch", ("torch",), ("torch",)),
    "torch_plain": Peer("torch", ("torch",), ("torch",), "plain"),
    "torch_channels_last": Peer("torch", ("torch",), ("torch",), "channels_last"),
    "torch_compile": Peer("torch", ("torch",), ("torch",), "compile"),
    "keras": Peer("keras", ("keras", "tensorflow"), ("keras", "tensorflow")),
    "jax": Peer("jax", ("jax",), ("jax", "jaxlib")),
    "jax_im2col": Peer("jax", ("jax",), ("jax", "jaxlib"), "im2col"),
    "sklearn": Peer("sklearn", ("sklearn",), ("scikit-learn",)),
}
