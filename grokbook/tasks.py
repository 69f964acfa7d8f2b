"""The ten binary operations of Figures 4 and 8 as exact label tables.

A task is a list of all its equations x ∘ y = label over symbols 0..n_symbols-1. The modular tasks compute modulo a
number p; the last three compose permutations of five letters, the 120 elements of the symmetric group S5. Operations
follow Power et al. 2021 (as Varma et al. 2023, Appendix A does); division leaves out y = 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations
from math import isqrt
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Task:
    """All n equations of one operation: symbols `x` and `y` and the class `label` of each, as int64 tensors [n]."""

    name: str
    x: Int[Tensor, "n"]
    y: Int[Tensor, "n"]
    label: Int[Tensor, "n"]
    n_symbols: int
    n_classes: int

    def __len__(self) -> int:
        return len(self.label)

    def split(self, train_size: int, seed: int) -> tuple[Int[Tensor, "train"], Int[Tensor, "test"]]:
        """Indices of a random train set and of the rest. One seed's train sets are nested: a smaller one is a subset.

        Raises ValueError unless 1 <= train_size <= n.
        """
        if not 1 <= train_size <= len(self):
            raise ValueError(f"train_size is {train_size}; {self.name} allows 1 to {len(self)}")
        order = torch.from_numpy(np.random.default_rng([0, seed]).permutation(len(self)))
        return order[:train_size], order[train_size:]

    def with_random_labels(self, seed: int) -> "Task":
        """The same equations with uniformly random labels, drawn once: nothing is left to do but memorise."""
        labels = np.random.default_rng([1, seed]).integers(self.n_classes, size=len(self))
        return replace(self, name=f"{self.name} with random labels", label=torch.from_numpy(labels))

    def mirror_free(self, train: Int[Tensor, "train"], test: Int[Tensor, "test"]) -> Int[Tensor, "free"]:
        """The test equations x ∘ y whose mirror y ∘ x is not a train equation with the same label.

        A memoriser that ignores the order of its inputs answers the other ones without generalising.
        """
        seen = {(y, x, c) for x, y, c in zip(*(v[train].tolist() for v in (self.x, self.y, self.label)), strict=True)}
        mirrored = [t in seen for t in zip(*(v[test].tolist() for v in (self.x, self.y, self.label)), strict=True)]
        return test[~torch.tensor(mirrored, dtype=torch.bool)]


def is_prime(p: int) -> bool:
    """Whether p is a prime number, by trial division."""
    return p >= 2 and all(p % d for d in range(2, isqrt(p) + 1))


def _task(name: str, x: np.ndarray, y: np.ndarray, label: np.ndarray, size: int) -> Task:
    tensors = [torch.from_numpy(column.astype(np.int64)) for column in (x, y, label)]
    return Task(name, tensors[0], tensors[1], tensors[2], n_symbols=size, n_classes=size)


def _modular(name: str, p: int, operation: Callable[[np.ndarray, np.ndarray], np.ndarray], first_y: int = 0) -> Task:
    if not isinstance(p, Integral) or p < 2:
        raise ValueError(f"modulus is {p}; it must be an integer of at least 2")
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(p), np.arange(first_y, p), indexing="ij"))
    return _task(name, x, y, operation(x, y) % p, p)


def _inverses(p: int) -> np.ndarray:
    """The inverse of each y modulo the prime p, by Fermat's little theorem; entry 0 is 0 and never used."""
    if not isinstance(p, Integral) or not is_prime(p):
        raise ValueError(f"modulus is {p}; division needs a prime modulus")
    return np.array([pow(y, int(p) - 2, int(p)) for y in range(p)])


@cache
def s5() -> tuple[np.ndarray, np.ndarray]:
    """Composition table [120, 120] and inverses [120] of S5, elements in lexicographic order; a∘b applies b first."""
    elements = np.array(list(permutations(range(5))))
    composed = elements[np.arange(120)[:, None, None], elements[None, :, :]]
    weights = 5 ** np.arange(5)
    number_of = {key: i for i, key in enumerate((elements @ weights).tolist())}
    table = np.vectorize(number_of.__getitem__)(composed @ weights)
    return table, (table == 0).argmax(axis=1)


def _s5_task(name: str, operation: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Task:
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(120), np.arange(120), indexing="ij"))
    return _task(name, x, y, operation(*s5(), x, y), 120)


def add(p: int) -> Task:
    """x + y mod p."""
    return _modular("add", p, lambda x, y: x + y)


def subtract(p: int) -> Task:
    """x - y mod p."""
    return _modular("subtract", p, lambda x, y: x - y)


def multiply(p: int) -> Task:
    """x y mod p."""
    return _modular("multiply", p, lambda x, y: x * y)


def divide(p: int) -> Task:
    """x / y mod p for y != 0; p must be prime."""
    inverse = _inverses(p)
    return _modular("divide", p, lambda x, y: x * inverse[y], first_y=1)


def divide_or_subtract(p: int) -> Task:
    """x / y mod p if y is odd, else x - y mod p; p must be prime."""
    inverse = _inverses(p)
    return _modular("divide-or-subtract", p, lambda x, y: np.where(y % 2 == 1, x * inverse[y], x - y))


def sum_of_squares(p: int) -> Task:
    """x² + y² mod p."""
    return _modular("sum-of-squares", p, lambda x, y: x * x + y * y)


def quadratic_form(p: int) -> Task:
    """x² + xy + y² mod p."""
    return _modular("quadratic-form", p, lambda x, y: x * x + x * y + y * y)


def s5_conjugate(p: int = 0) -> Task:
    """x y x⁻¹ in S5; the modulus is ignored."""
    return _s5_task("s5-conjugate", lambda table, inverse, x, y: table[table[x, y], inverse[x]])


def s5_compose(p: int = 0) -> Task:
    """x y in S5; the modulus is ignored."""
    return _s5_task("s5-compose", lambda table, inverse, x, y: table[x, y])


def s5_sandwich(p: int = 0) -> Task:
    """x y x in S5; the modulus is ignored."""
    return _s5_task("s5-sandwich", lambda table, inverse, x, y: table[table[x, y], x])


TASKS: dict[str, Callable[[int], Task]] = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "divide": divide,
    "divide-or-subtract": divide_or_subtract,
    "sum-of-squares": sum_of_squares,
    "quadratic-form": quadratic_form,
    "s5-conjugate": s5_conjugate,
    "s5-compose": s5_compose,
    "s5-sandwich": s5_sandwich,
}
"""The operations of Figure 4 (the first) and Figure 8 by name; each is called with the modulus."""


def make_task(name: str, modulus: int) -> Task:
    """The task called `name` at `modulus`. Raises ValueError for an unknown name or a modulus it does not allow."""
    if name not in TASKS:
        raise ValueError(f"task is {name!r}; it must be one of {', '.join(TASKS)}")
    return TASKS[name](modulus)
