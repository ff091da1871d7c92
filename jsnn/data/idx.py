"""IDX files: the four files in which MNIST and its relatives are published.

An IDX file is a header and then the values. The header is two zero bytes, one byte for the type of the values
(0x08: unsigned byte), one for the number of dimensions, and the length of each dimension as 32 bits, big end
first.
Source: Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist/, section "File formats".
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from jsnn.data.dataset import Dataset
from jsnn.errors import InputError

SIDE = 28  # pixels, the height and the width of every image
N_CLASSES = 10
FILES = {  # array -> standard name
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
WANTED = "the four IDX files " + ", ".join(FILES.values()) + " (plain or .gz)"

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_CONTENTS = {3: "images", 1: "labels"}  # by number of dimensions


def find(directory: Path) -> dict[str, Path]:
    """The four IDX files of `directory`: array -> path.

    The standard names are known with or without `.gz` and with `.` for the `-` before `idx`; of several
    spellings of one file, the plain and standard one wins. Raises InputError where the directory or a file is
    missing.
    """
    try:
        present = {path.name: path for path in directory.iterdir()}
    except OSError as error:
        raise InputError(
            f"cannot list {directory} ({error.strerror}): it should be a directory with {WANTED}"
        ) from None
    found = {}
    for array, name in FILES.items():
        spellings = [stem + end for end in ("", ".gz") for stem in (name, name.replace("-idx", ".idx"))]
        path = next((present[spelling] for spelling in spellings if spelling in present), None)
        if path is None:
            raise InputError(f"no {name} in {directory}: it should hold {WANTED}")
        found[array] = path
    return found


def read(name: str, paths: dict[str, Path]) -> Dataset:
    """The data set `name` from its four files (array -> path, as `find` gives them).

    Raises InputError where a file is unreadable, is not IDX, holds something else than its part asks for, or
    where images and labels differ in number.
    """
    arrays = {}
    for split in ("train", "test"):
        images_path, labels_path = paths[f"{split}_images"], paths[f"{split}_labels"]
        images, labels = _images(images_path), _labels(labels_path)
        if len(images) != len(labels):
            raise InputError(
                f"{images_path} holds {len(images)} images but {labels_path} {len(labels)} labels: "
                "there should be one label for each image"
            )
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    return Dataset(name, **arrays, n_classes=N_CLASSES)


def _images(path: Path) -> np.ndarray:
    """The images of one IDX file, uint8 [n, 784]."""
    images = _values(path, n_dimensions=3)
    if images.shape[1:] != (SIDE, SIDE):
        height, width = images.shape[1:]
        raise InputError(f"{path} holds images of {height} x {width} pixels: they should be {SIDE} x {SIDE}")
    return images.reshape(len(images), SIDE * SIDE)


def _labels(path: Path) -> np.ndarray:
    """The labels of one IDX file, int32 [n]."""
    labels = _values(path, n_dimensions=1)
    wrong = np.flatnonzero(labels >= N_CLASSES)
    if wrong.size:
        raise InputError(
            f"{path} holds the label {labels[wrong[0]]} at position {wrong[0]}: labels should be 0 to {N_CLASSES - 1}"
        )
    return labels.astype(np.int32)


def _values(path: Path, n_dimensions: int) -> np.ndarray:
    """The values of one IDX file of unsigned bytes, uint8, in the shape that its header declares."""
    content = _content(path)
    expected = bytes([0, 0, _UNSIGNED_BYTE, n_dimensions])
    what = _CONTENTS[n_dimensions]
    if len(content) < 4 or content[:2] != expected[:2]:
        start = content[:4].hex(" ") or "nothing"
        raise InputError(f"{path} is no IDX file: it begins with {start}, {what} should begin with {expected.hex(' ')}")
    if content[2] != _UNSIGNED_BYTE:
        raise InputError(f"{path} holds values of IDX type 0x{content[2]:02x}: {what} should be unsigned bytes, 0x08")
    if content[3] != n_dimensions:
        held = _CONTENTS.get(content[3], f"an array of {content[3]} dimensions")
        raise InputError(f"{path} holds {held} where {what} are expected: are the files mislabelled?")
    start = 4 + 4 * n_dimensions
    if len(content) < start:
        raise InputError(f"{path} ends within its header: it should be longer than {start} bytes; copy it again")
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", n_dimensions, offset=4))
    if shape[0] == 0:
        raise InputError(f"{path} is empty: it declares 0 {what}, there should be at least one")
    if len(content) - start != math.prod(shape):
        declared = " x ".join(map(str, shape))
        raise InputError(
            f"{path} holds {len(content) - start} bytes of {what}: its header declares {declared} = "
            f"{math.prod(shape)}; copy it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    """The bytes of a file, uncompressed where its first bytes say gzip (whatever its name says)."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == _GZIP else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path} ({error}): it should be a complete IDX file, plain or gzip") from None
