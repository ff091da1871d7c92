"""IDX files: the four files in which MNIST and its relatives are published.

An IDX file is a header and then the values. The header is two zero bytes, one byte for the type of the values
(0x08: unsigned byte), one for the number of dimensions, and the length of each dimension as 32 bits, big end
first.
Source: Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist/, section "File formats".
"""

import math
from pathlib import Path

import numpy as np

from jsnn.core.errors import InputError
from jsnn.data import reading
from jsnn.data.dataset import Dataset

SIDE = 28  # pixels, the height and the width of every image
N_CLASSES = 10
MOST = 1_000_000  # images or labels of one file, which take 0.8 GB then: no relative of MNIST has as many
LARGEST = MOST * SIDE * SIDE + 16  # bytes of a file
FILES = {  # array -> standard name
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
WANTED = "the four IDX files " + ", ".join(FILES.values()) + " (plain or .gz)"

_UNSIGNED_BYTE = 0x08
_CONTENTS = {3: "images", 1: "labels"}  # by number of dimensions


def find(directory: Path) -> dict[str, Path]:
    """The four IDX files of `directory`: array -> path.

    The standard names are known with or without `.gz` and with `.` for the `-` before `idx`; of several
    spellings of one file, the plain and standard one wins. Raises InputError where the directory or a file is
    missing, or a file is no regular one, or too large.
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
        reading.check(path, LARGEST)
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
    images = _values(path, (SIDE, SIDE))
    return images.reshape(len(images), SIDE * SIDE)


def _labels(path: Path) -> np.ndarray:
    """The labels of one IDX file, int32 [n]."""
    labels = _values(path, ())
    wrong = np.flatnonzero(labels >= N_CLASSES)
    if wrong.size:
        raise InputError(
            f"{path} holds the label {labels[wrong[0]]} at position {wrong[0]}: labels should be 0 to {N_CLASSES - 1}"
        )
    return labels.astype(np.int32)


def _values(path: Path, each: tuple[int, ...]) -> np.ndarray:
    """The values of one IDX file of unsigned bytes, uint8 [n, *each]. The header is read first, and no more of the
    content than it declares.
    """
    n_dimensions = 1 + len(each)
    what, start = _CONTENTS[n_dimensions], 4 + 4 * n_dimensions

    def size(header: bytes) -> int:
        return math.prod(_shape(path, header, each))

    header, content = reading.read_declared(path, start, size, LARGEST)
    shape = _shape(path, header, each)
    if len(content) != math.prod(shape):
        declared = " x ".join(map(str, shape))
        more = "there may be even more bytes; " if len(content) > math.prod(shape) else ""
        raise InputError(
            f"{path} holds {len(content)} bytes of {what}: its header declares {declared} = {math.prod(shape)}; "
            f"{more}copy it again"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(path: Path, header: bytes, each: tuple[int, ...]) -> tuple[int, ...]:
    """What the header of an IDX file of unsigned bytes declares: n, and then `each`. Raises InputError."""
    n_dimensions = 1 + len(each)
    expected = bytes([0, 0, _UNSIGNED_BYTE, n_dimensions])
    what = _CONTENTS[n_dimensions]
    if len(header) < 4 or header[:2] != expected[:2]:
        start = header[:4].hex(" ") or "nothing"
        raise InputError(f"{path} is no IDX file: it begins with {start}, {what} should begin with {expected.hex(' ')}")
    if header[2] != _UNSIGNED_BYTE:
        raise InputError(f"{path} holds values of IDX type 0x{header[2]:02x}: {what} should be unsigned bytes, 0x08")
    if header[3] != n_dimensions:
        held = _CONTENTS.get(header[3], f"an array of {header[3]} dimensions")
        raise InputError(f"{path} holds {held} where {what} are expected: are the files mislabelled?")
    start = 4 + 4 * n_dimensions
    if len(header) < start:
        raise InputError(f"{path} ends within its header: it should be longer than {start} bytes; copy it again")
    n, *rest = (int(length) for length in np.frombuffer(header, ">u4", n_dimensions, offset=4))
    if n == 0:
        raise InputError(f"{path} is empty: it declares 0 {what}, there should be at least one")
    if n > MOST:
        raise InputError(f"{path} declares {n} {what}: there should be at most {MOST}; is it a file of another kind?")
    if tuple(rest) != each:
        pixels, wanted = (" x ".join(map(str, x)) for x in (rest, each))
        raise InputError(f"{path} holds images of {pixels} pixels: they should be {wanted}")
    return n, *each
