"""Public sets of images: downloaded when asked for, read from this machine alone, each file checked by its SHA-256."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Dataset, Sets
from treadle.data.download import Remote, download
from treadle.data.sources.idx import read_idx
from treadle.errors import DataError, suggest
from treadle.folders import user_cache


@dataclass(frozen=True)
class Public:
    """A public data set: its files, its classes in the order of their labels, where it is from and its licence."""

    files: tuple[Remote, ...]
    classes: tuple[str, ...]
    origin: str
    licence: str

    @property
    def size(self) -> int:
        """Bytes of all files as they are downloaded."""
        return sum(file.size for file in self.files)

    def is_here(self) -> bool:
        """Whether all files are on this machine, whole."""
        return all(file.is_in(data_folder()) for file in self.files)


def _idx_files(name: str, addresses: tuple[str, ...], files: dict[str, tuple[int, str]]) -> tuple[Remote, ...]:
    # train-images, train-labels, t10k-images and t10k-labels, in the order in which `_load_idx` reads them
    return tuple(
        Remote(f"{name}/{file}", size, sha256, tuple(address + file for address in addresses))
        for file, (size, sha256) in files.items()
    )


PUBLIC: dict[str, Public] = {
    "fashion_mnist": Public(
        _idx_files(
            "fashion_mnist",
            (
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            {
                "train-images-idx3-ubyte.gz": (
                    26421880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                "train-labels-idx1-ubyte.gz": (
                    29515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                "t10k-images-idx3-ubyte.gz": (
                    4422102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    5148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            },
        ),
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        "Xiao, Rasul and Vollgraf, Zalando Research, https://github.com/zalandoresearch/fashion-mnist",
        "MIT",
    ),
    "kmnist": Public(
        _idx_files(
            "kmnist",
            (
                "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/KMNIST/",
                "https://web.archive.org/web/2024/http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            ),
            {
                "train-images-idx3-ubyte.gz": (
                    18165135,
                    "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                ),
                "train-labels-idx1-ubyte.gz": (
                    29497,
                    "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                ),
                "t10k-images-idx3-ubyte.gz": (
                    3041136,
                    "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    5120,
                    "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
                ),
            },
        ),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        "KMNIST Dataset (created by CODH), adapted from Kuzushiji Dataset (created by NIJL and others), "
        "doi:10.20676/00000341",
        "CC BY-SA 4.0",
    ),
    "cifar10": Public(
        (
            Remote(
                "cifar10/cifar-10-binary.tar.gz",
                170052171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                (
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
                    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
                ),
            ),
        ),
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        "Krizhevsky, Nair and Hinton, University of Toronto, https://www.cs.toronto.edu/~kriz/cifar.html",
        "none stated",
    ),
}


def data_folder() -> Path:
    """Return the folder of downloaded data: TREADLE_DATA_DIR, or where the system keeps caches of programs.

    >>> data_folder().is_absolute() or "TREADLE_DATA_DIR" in os.environ
    True
    """
    given = os.environ.get("TREADLE_DATA_DIR")
    return Path(given) if given else user_cache() / "data"


def fetch(name: str, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """Download what is not yet on this machine of a public data set and return its folder.

    Args:
        name: in `PUBLIC`.
        on_progress: called with the number of bytes that are here and that of all files.

    Raises:
        DataError: a name that is not known, and what `download` raises.

    >>> fetch("kminst")
    Traceback (most recent call last):
    treadle.errors.DataError: no public data is called 'kminst': did you mean 'kmnist'? there are fashion_mnist, kmnist,
    cifar10
    """
    if name not in PUBLIC:
        raise DataError(f"no public data is called {name!r}: {suggest(name, PUBLIC)}")
    public, before = PUBLIC[name], 0
    for file in public.files:

        def tell(done: int, _: int, before: int = before) -> None:
            if on_progress:
                on_progress(before + done, public.size)

        download(file, data_folder(), tell)
        before += file.size
    return data_folder() / name


def load_fashion_mnist() -> Sets:
    """Load Fashion-MNIST, once fetched: articles of clothing, images uint8 (N, 1, 28, 28), labels int64 (N,).

    50,000 / 10,000 / 10,000 samples; the last 10,000 of the 60,000 published training images are the validation set.
    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms, 2017; under the MIT licence. Raises DataError where it is not on this machine, or damaged.

    >>> PUBLIC["fashion_mnist"].classes[:3]
    ('T-shirt/top', 'Trouser', 'Pullover')
    """
    return _load_idx("fashion_mnist")


def load_kmnist() -> Sets:
    """Load Kuzushiji-MNIST, once fetched: cursive hiragana, images uint8 (N, 1, 28, 28), labels int64 (N,).

    50,000 / 10,000 / 10,000 samples; the last 10,000 of the 60,000 published training images are the validation set.
    Source: Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha, Deep learning for classical Japanese literature,
    2018; under CC BY-SA 4.0. Raises DataError where it is not on this machine, or damaged.

    >>> PUBLIC["kmnist"].classes[:3]
    ('o', 'ki', 'su')
    """
    return _load_idx("kmnist")


def load_cifar10() -> Sets:
    """Load CIFAR-10, once fetched: photographs, images uint8 (N, 3, 32, 32), labels int64 (N,).

    40,000 / 10,000 / 10,000 samples; the last of the five published training batches is the validation set.
    Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009; no licence is stated. Raises
    DataError where it is not on this machine, or damaged.

    >>> PUBLIC["cifar10"].classes[:3]
    ('airplane', 'automobile', 'bird')
    """
    (path,) = _verified("cifar10")
    return _sets("cifar10", *_read_cifar(path))


def _verified(name: str) -> list[Path]:
    for file in PUBLIC[name].files:
        if not file.is_in(data_folder()):
            path = data_folder() / file.name
            fix = f"`treadle fetch {name}` downloads"
            if path.exists():
                raise DataError(f"{path}: damaged: it has not the SHA-256 {file.sha256}; {fix} it again")
            raise DataError(
                f"{name} is not on this machine yet: {fix} {PUBLIC[name].size / 1e6:.0f} MB, into {path.parent}"
            )
    return [data_folder() / file.name for file in PUBLIC[name].files]


def _load_idx(name: str) -> Sets:
    images, labels, test_images, test_labels = map(read_idx, _verified(name))
    return _sets(name, images[:, None], labels, test_images[:, None], test_labels)


_BATCHES = tuple(
    f"cifar-10-batches-bin/{batch}.bin" for batch in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")
)
_RECORDS = 10_000  # of a batch: a byte for the label, then red, green and blue, row by row


def _read_cifar(path: Path) -> tuple[NDArray[Any], ...]:
    import tarfile
    import zlib

    record = 1 + 3 * 32 * 32
    images = np.empty((len(_BATCHES), _RECORDS, 3, 32, 32), np.uint8)
    labels = np.empty((len(_BATCHES), _RECORDS), np.uint8)
    missing = set(_BATCHES)
    try:
        with tarfile.open(path, "r|gz") as archive:  # read once, from its beginning to its end
            for member in archive:
                if member.name not in missing:
                    continue
                file = archive.extractfile(member)
                found = file.read(_RECORDS * record) if file and member.size == _RECORDS * record else b""
                if len(found) != _RECORDS * record:
                    raise DataError(
                        f"{path}: {member.name}: expected a file of {_RECORDS * record} bytes, found {member.size}"
                    )
                rows, batch = np.frombuffer(found, np.uint8).reshape(_RECORDS, record), _BATCHES.index(member.name)
                labels[batch], images[batch] = rows[:, 0], rows[:, 1:].reshape(_RECORDS, 3, 32, 32)
                missing.remove(member.name)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged archive: {error}") from error
    if missing:
        raise DataError(f"{path}: no {sorted(missing)[0]} in the archive")
    return images[:-1].reshape(-1, 3, 32, 32), labels[:-1].ravel(), images[-1], labels[-1]


def _sets(name: str, images: Any, labels: Any, test_images: Any, test_labels: Any) -> Sets:
    """The published sets, with as many of the last training images for validation as there are for the test."""
    labels, test_labels = labels.astype(np.int64), test_labels.astype(np.int64)
    for array in (images, labels, test_images, test_labels):
        array.flags.writeable = False
    public, count, size = PUBLIC[name], len(images), len(test_images)
    cut = count - size
    return Sets(
        Dataset(images[:cut], labels[:cut], public.classes, "train"),
        Dataset(images[cut:], labels[cut:], public.classes, "validation"),
        Dataset(test_images, test_labels, public.classes, "test"),
        name,
        f"{public.origin}; licence: {public.licence}\n"
        f"validation: the last {size:,} of the {count:,} published training images",
    )
