"""What a data set is once it is in memory, and the one place where arrays become one."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from jsnn.core.errors import InputError

SPLITS = {"test": "test images", "validation": "held-out training images"}  # what a network is evaluated on
MOST_CLASSES = 2**16  # a larger label is a mistake


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The training images of a data set, or its test images, with their labels."""

    images: np.ndarray  # uint8 [n, n_pixels]
    labels: np.ndarray  # int32 [n]

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one data set, in the order in which they were published.

    Images may come in any shape [n, ...], as uint8 or as floats from 0 to 1, which are rounded to 255ths; labels as
    integers from 0. They are kept as the fields say. Raises InputError for anything else.
    """

    name: str
    train_images: np.ndarray  # uint8 [n_train, n_pixels], row by row, 0 is background
    train_labels: np.ndarray  # int32 [n_train], 0 to n_classes - 1
    test_images: np.ndarray  # uint8 [n_test, n_pixels]
    test_labels: np.ndarray  # int32 [n_test]
    n_classes: int = 0  # 0: one more than the largest label
    n_held_out: int = 0  # training images, the last ones, that stand in the place of the test images

    def __post_init__(self) -> None:
        """Check and convert the arrays."""
        made: dict[str, Any] = {}
        shapes = []
        for split in ("train", "test"):
            images = _images(getattr(self, f"{split}_images"), f"{self.name}: {split}_images")
            labels = _labels(getattr(self, f"{split}_labels"), f"{self.name}: {split}_labels")
            if len(images) != len(labels):
                raise InputError(
                    f"{self.name}: {len(images)} {split}_images but {len(labels)} {split}_labels: "
                    "there should be one label for each image"
                )
            made |= {f"{split}_images": images, f"{split}_labels": labels}
            shapes.append([n for n in np.shape(getattr(self, f"{split}_images"))[1:] if n != 1])
        train, test = made["train_images"].shape[1], made["test_images"].shape[1]
        if train != test:
            raise InputError(f"{self.name}: train_images of {train} and test_images of {test} pixels: as many, please")
        if shapes[0] != shapes[1]:  # apart from axes of 1
            raise InputError(
                f"{self.name}: train_images of {shapes[0]} and test_images of {shapes[1]}: images of one shape, please"
            )
        n_classes, n_held_out = (
            _count(getattr(self, field), f"{self.name}: {field}", 0) for field in ("n_classes", "n_held_out")
        )
        largest = max(int(made["train_labels"].max()), int(made["test_labels"].max()))
        n_classes = n_classes or largest + 1
        if largest >= n_classes:
            raise InputError(f"{self.name}: the label {largest}: labels should be 0 to {n_classes - 1}")
        if n_classes < 2:
            raise InputError(f"{self.name}: all labels are 0: there should be at least 2 classes")
        for field, value in (made | {"n_classes": n_classes, "n_held_out": n_held_out}).items():
            object.__setattr__(self, field, value)

    @property
    def train(self) -> Split:
        """Its training images and their labels."""
        return Split(self.train_images, self.train_labels)

    @property
    def test(self) -> Split:
        """Its test images and their labels; where images are held out, those."""
        return Split(self.test_images, self.test_labels)

    @property
    def split(self) -> str:
        """What the images in the place of the test images are: a key of `SPLITS`."""
        return "validation" if self.n_held_out else "test"

    def fingerprint(self, n_train: int, n_test: int) -> dict[str, Any]:
        """What a run says of its data, so that nothing else is taken for it: the first `n_train` training and `n_test`
        test images. As JSON.
        """
        digest = hashlib.sha256()
        for array, n in (
            (self.train_images, n_train),
            (self.train_labels, n_train),
            (self.test_images, n_test),
            (self.test_labels, n_test),
        ):
            digest.update(np.ascontiguousarray(array[:n]).tobytes())
        return {
            "name": self.name,
            "split": self.split,
            "shape": list(self.train_images.shape[1:]),  # of an image
            "n_classes": self.n_classes,
            "n_train": n_train,
            "n_evaluated": n_test,
            "sha256": digest.hexdigest(),
        }

    def held_out(self, n: int) -> "Dataset":
        """The last `n` training images in the place of the test images, which nobody sees: for tuning.

        Raises InputError where no training image would be left.
        """
        left = len(self.train_labels) - _count(n, "n_validation")
        if not 0 < left < len(self.train_labels):
            most = len(self.train_labels) - 1
            raise InputError(f"n_validation = {n} for {self.name}: it should be from 1 to {most}")
        return dataclasses.replace(
            self,
            train_images=self.train_images[:left],
            train_labels=self.train_labels[:left],
            test_images=self.train_images[left:],
            test_labels=self.train_labels[left:],
            n_held_out=n,
        )

    def first(self, n_train: int | None = None, n_test: int | None = None) -> "Dataset":
        """The first `n_train` training and `n_test` test images (None: all).

        Raises InputError where a number is below 1 or larger than the data.
        """
        for argument, n, available in (
            ("n_train", n_train, len(self.train_labels)),
            ("n_test", n_test, len(self.test_labels)),
        ):
            if n is not None and not 1 <= _count(n, argument) <= available:
                raise InputError(f"{argument} = {n} for {self.name}: it should be from 1 to {available}")
        return dataclasses.replace(
            self,
            train_images=self.train_images[:n_train],
            train_labels=self.train_labels[:n_train],
            test_images=self.test_images[:n_test],
            test_labels=self.test_labels[:n_test],
        )


def _count(n: Any, what: str, least: int | None = None) -> int:
    """A whole number, `least` or more."""
    if isinstance(n, bool | np.bool_) or not isinstance(n, int | np.integer) or (least is not None and n < least):
        raise InputError(f"{what} = {n!r}: it should be a whole number{'' if least is None else f' from {least}'}")
    return int(n)


def _array(values: Any, what: str) -> np.ndarray:
    """A plain array of at least one entry."""
    if np.ma.isMaskedArray(values):
        raise InputError(f"{what} is a masked array: it should be a plain one, as a network sees what is masked, too")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # lists of different lengths, what is on another device
        raise InputError(f"{what} is no array ({' '.join(str(error).split())})") from None
    if array.dtype == object and not array.ndim:
        sparse = " with its zeros, as of toarray()" if hasattr(values, "toarray") else ""
        raise InputError(f"{what} is a {type(values).__name__}: it should be an array{sparse}")
    if not array.ndim or not array.size:
        raise InputError(f"{what} is {array.dtype}{list(array.shape)}: there should be at least one")
    return array


def _images(values: Any, what: str) -> np.ndarray:
    """Images as uint8 [n, n_pixels]."""
    array = _array(values, what)
    wanted = "images should be uint8, or floats from 0 to 1, [n, ...]"
    if array.ndim < 2:
        raise InputError(f"{what} is {array.dtype}{list(array.shape)}: {wanted}")
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())  # NaN, if there is one
        if not 0.0 <= low <= high <= 1.0:
            raise InputError(f"{what} is {array.dtype} from {low:g} to {high:g}: {wanted}")
        array = np.rint(255.0 * array.astype(np.float32)).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(f"{what} is {array.dtype}: {wanted}")
    return np.ascontiguousarray(array).reshape(len(array), -1)


def _labels(values: Any, what: str) -> np.ndarray:
    """Labels as int32 [n]."""
    array = _array(values, what)
    wanted = "labels should be integers from 0, [n]"
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{what} is {array.dtype}{list(array.shape)}: {wanted}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= MOST_CLASSES:
        raise InputError(f"{what} is from {low} to {high}: {wanted}")
    return np.ascontiguousarray(array, np.int32)
