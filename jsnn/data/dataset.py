"""What a data set is once it is in memory."""

import dataclasses

import numpy as np

from jsnn.errors import InputError

SPLITS = {"test": "test images", "validation": "held-out training images"}  # what a network is evaluated on


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one data set, in the order in which they were published."""

    name: str
    train_images: np.ndarray  # uint8 [n_train, 784], row by row, 0 is background
    train_labels: np.ndarray  # int32 [n_train], 0 to n_classes - 1
    test_images: np.ndarray  # uint8 [n_test, 784]
    test_labels: np.ndarray  # int32 [n_test]
    n_classes: int = 10
    n_held_out: int = 0  # training images, the last ones, that stand in the place of the test images

    @property
    def split(self) -> str:
        """What the images in the place of the test images are: a key of `SPLITS`."""
        return "validation" if self.n_held_out else "test"

    def held_out(self, n: int) -> "Dataset":
        """The last `n` training images in the place of the test images, which nobody sees: for tuning.

        Raises InputError where no training image would be left.
        """
        left = len(self.train_labels) - n
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
            if n is not None and not 1 <= n <= available:
                raise InputError(f"{argument} = {n} for {self.name}: it should be from 1 to {available}")
        return dataclasses.replace(
            self,
            train_images=self.train_images[:n_train],
            train_labels=self.train_labels[:n_train],
            test_images=self.test_images[:n_test],
            test_labels=self.test_labels[:n_test],
        )
