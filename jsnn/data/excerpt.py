"""The excerpt of MNIST that travels inside the package: 10,000 training and 2,000 test images, no download.

Every 6th training image and every 5th test image of MNIST, from the first on, so that writers, classes and
difficult images are represented as in the whole (the halves of the test set differ in difficulty). Authors
and licence are in `mnist_excerpt.LICENCE.txt`.

The file is the xz-compressed .npz of the arrays of a `Dataset`, labels as uint8. It is made again by

    excerpt.FILE.write_bytes(excerpt.pack(idx.read("mnist", idx.find(Path(DIRECTORY)))))

from the four IDX files in DIRECTORY, byte for byte (another version of liblzma may compress the same content
differently).
"""

import io
import lzma
from pathlib import Path

import numpy as np

from jsnn.data.dataset import Dataset

FILE = Path(__file__).with_name("mnist_excerpt.npz.xz")
TRAIN_STRIDE = 6
TEST_STRIDE = 5


def read() -> Dataset:
    """The excerpt: 10,000 training and 2,000 test images."""
    with np.load(io.BytesIO(lzma.decompress(FILE.read_bytes()))) as arrays:
        return Dataset(
            "mnist_excerpt",
            train_images=arrays["train_images"],
            train_labels=arrays["train_labels"].astype(np.int32),
            test_images=arrays["test_images"],
            test_labels=arrays["test_labels"].astype(np.int32),
        )


def pack(mnist: Dataset) -> bytes:
    """The content of the excerpt's file, made from the whole of MNIST."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        train_images=mnist.train_images[::TRAIN_STRIDE],
        train_labels=mnist.train_labels[::TRAIN_STRIDE].astype(np.uint8),
        test_images=mnist.test_images[::TEST_STRIDE],
        test_labels=mnist.test_labels[::TEST_STRIDE].astype(np.uint8),
    )
    return lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME)
