"""Data: reading, checking, scaling, shuffling and batching; knows NumPy only."""

from treadle.data.assemble import from_arrays, from_table, load_table
from treadle.data.augment import AUGMENTATIONS, Augmentation, Erase, Flip, Noise, Rotate, Shift, augment
from treadle.data.batches import Batch, BatchMaker, batches
from treadle.data.dataset import Dataset, Sets
from treadle.data.examine import examine
from treadle.data.gaps import Gaps
from treadle.data.image import decode_image, read_image
from treadle.data.load import SOURCES, load
from treadle.data.order import Order, OrderState
from treadle.data.polarity import Polarity, polarity_of
from treadle.data.prepare import PreparedImage, prepare_image
from treadle.data.reading import WORKER_KINDS, Prefetch, Reading, Times
from treadle.data.scale import (
    SCALES,
    Channel,
    FittedScale,
    MeanRange,
    MinMax,
    NoScale,
    Robust,
    Scale,
    Standard,
    scale_from_dict,
)
from treadle.data.sheet import chosen_samples, feature_names, sheet
from treadle.data.sources.arrays import load_npy_folder, load_npz
from treadle.data.sources.delimited import read_delimited
from treadle.data.sources.frame import from_frame
from treadle.data.sources.idx import load_idx_folder, read_idx
from treadle.data.sources.image_folder import load_image_folder
from treadle.data.sources.mnist import load_mnist
from treadle.data.sources.mnist_json import load_mnist_json
from treadle.data.sources.parquet import load_parquet, read_parquet
from treadle.data.sources.public import PUBLIC, fetch
from treadle.data.sources.rows import EncodedRows, encoded_rows
from treadle.data.split import SPLITS, GroupedSplit, RandomSplit, StratifiedSplit
from treadle.data.stored import Stored
from treadle.data.table import MISSING, Encoding, Feature, Table
from treadle.data.validity import Finding, by_severity, check, require_valid

__all__ = [
    "AUGMENTATIONS",
    "MISSING",
    "PUBLIC",
    "SCALES",
    "SOURCES",
    "SPLITS",
    "WORKER_KINDS",
    "Augmentation",
    "Batch",
    "BatchMaker",
    "Channel",
    "Dataset",
    "EncodedRows",
    "Encoding",
    "Erase",
    "Feature",
    "Finding",
    "FittedScale",
    "Flip",
    "Gaps",
    "GroupedSplit",
    "MeanRange",
    "MinMax",
    "NoScale",
    "Noise",
    "Order",
    "OrderState",
    "Polarity",
    "Prefetch",
    "PreparedImage",
    "RandomSplit",
    "Reading",
    "Robust",
    "Rotate",
    "Scale",
    "Sets",
    "Shift",
    "Standard",
    "Stored",
    "StratifiedSplit",
    "Table",
    "Times",
    "augment",
    "batches",
    "by_severity",
    "check",
    "chosen_samples",
    "decode_image",
    "encoded_rows",
    "examine",
    "feature_names",
    "fetch",
    "from_arrays",
    "from_frame",
    "from_table",
    "load",
    "load_idx_folder",
    "load_image_folder",
    "load_mnist",
    "load_mnist_json",
    "load_npy_folder",
    "load_npz",
    "load_parquet",
    "load_table",
    "polarity_of",
    "prepare_image",
    "read_delimited",
    "read_idx",
    "read_image",
    "read_parquet",
    "require_valid",
    "scale_from_dict",
    "sheet",
]
