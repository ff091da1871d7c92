"""Data sets in the form of tensorflow-datasets (TFDS), written and read without TensorFlow.

The builders of TFDS need TensorFlow to prepare MNIST and its relatives, not to read them. So a subclass of
the real builder, with its name, version and features, takes the images from memory, and TFDS writes them as
array_record, a data set that any program can open with `tfds.data_source`. (The other format for random
access, parquet, silently loses rows in TFDS 4.9.10.)
"""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jsnn.core import files as disk
from jsnn.data.dataset import Dataset
from jsnn.data.idx import SIDE

FORMAT = "array_record"


def home() -> Path:
    """The directory in which TFDS keeps its data sets by default. Raises InputError where nobody has a home."""
    return disk.expanded(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def files(name: str, data_dir: Path) -> list[Path]:
    """The files of data set `name` as prepared below `data_dir` (newest version), or [] if it is not there.

    A data set in another format than array_record (TFDS with TensorFlow writes tfrecord) counts as not there.
    """
    versions = sorted(path.parent for path in (data_dir / name).glob("[0-9]*/dataset_info.json"))
    present = sorted(versions[-1].iterdir()) if versions else []
    return present if any(FORMAT in path.name for path in present) else []


def write(dataset: Dataset, data_dir: Path) -> None:
    """Prepare `dataset` below `data_dir` as the TFDS data set of its name. Raises OSError.

    Two processes may do so at once: one of them wins, both find the data set prepared.
    """
    with quiet():
        import tensorflow_datasets as tfds
        from PIL import Image
        from tensorflow_datasets.core.registered import skip_registration

        class FromMemory:
            def _split_generators(self, dl_manager):
                del dl_manager
                return {
                    "train": self._generate_examples(dataset.train_images, dataset.train_labels),
                    "test": self._generate_examples(dataset.test_images, dataset.test_labels),
                }

            def _generate_examples(self, images, labels):
                for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                    yield index, {"image": Image.fromarray(image.reshape(SIDE, SIDE)), "label": int(label)}

        real: type = tfds.builder_cls(dataset.name)
        with skip_registration():
            subclass: Any = type(real.__name__, (FromMemory, real), {"__module__": real.__module__})
        builder = subclass(data_dir=data_dir, file_format=FORMAT)
        try:
            builder.download_and_prepare(
                download_dir=data_dir / "downloads",
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            )
        except OSError:
            if not builder.is_prepared():
                raise


def read(name: str, data_dir: Path) -> Dataset:
    """Decode the TFDS data set `name` that is prepared below `data_dir`, in the order of the original files.

    TFDS stores the records of a split sorted by a hash of split and key, and the keys of these data sets are
    the positions in the original files: sorting the positions by that hash tells which record is which.
    """
    with quiet():
        import tensorflow_datasets as tfds
        from PIL import Image
        from tensorflow_datasets.core.hashing import Hasher

        arrays = {}
        for split in ("train", "test"):
            source: Any = tfds.data_source(
                name,
                split=split,
                data_dir=data_dir,
                download=False,
                decoders={"image": tfds.decode.SkipDecoding()},  # TFDS's own decoding takes twice as long
                builder_kwargs={"file_format": FORMAT},
            )
            n = len(source)
            images = np.empty((n, SIDE * SIDE), np.uint8)
            labels = np.empty(n, np.int32)
            position = sorted(range(n), key=Hasher(split).hash_key)
            for index, record in zip(position, source.__getitems__(range(n)), strict=True):
                images[index] = np.asarray(Image.open(io.BytesIO(record["image"]))).reshape(-1)
                labels[index] = record["label"]
            arrays |= {f"{split}_images": images, f"{split}_labels": labels}
        return Dataset(name, **arrays)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what TFDS prints and warns about off the screen; exceptions still tell what went wrong."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
