"""Pack the four published IDX files of MNIST into the file that is shipped: `pack_mnist.py FOLDER [OUTPUT]`."""

import hashlib
import lzma
import sys
from pathlib import Path

from treadle.data.sources.idx import load_idx_folder
from treadle.data.sources.mnist import PACKED

# Found by trial: digits hold few repeats, so four bits of the pixel to the left (lc=4) and long matches count most.
FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": 1 << 26,
        "lc": 4,
        "lp": 0,
        "pb": 0,
        "nice_len": 273,
        "mf": lzma.MF_BT4,
    }
]


def main(folder: str, output: str = str(PACKED)) -> None:
    """Write the packed file and print its size and the SHA-256 of its content."""
    parts = load_idx_folder(folder).parts().values()
    labels = b"".join(part.targets.astype("u1").tobytes() for part in parts)
    content = labels + b"".join(part.inputs.tobytes() for part in parts)
    packed = lzma.compress(content, check=lzma.CHECK_CRC64, filters=FILTERS)
    Path(output).write_bytes(packed)
    print(f"{output}: {len(packed)} bytes, content {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
