"""What a memoriser can answer beyond the equations it has stored, without the rule: the easy symmetries of a table.

Three shortcuts need nothing but noticing that tokens, or their order, make no difference:

    mirror       x ∘ y = y ∘ x for all x and y, so the order can be ignored
    merged       two tokens with the same row (or the same column) in the table can share one embedding
    constant     a row (or column) with one label all along needs one fact

A test equation is *covered* when such shortcuts lead from a train equation to it. A network that memorises and merges
is right on the covered ones however little it understands, and so need not fall to chance when it ungroks.
"""

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from grokbook.tasks import Task


def table(task: Task) -> Int[np.ndarray, "x y"]:
    """The label of every pair of symbols; -1 where the task leaves the pair out."""
    labels = np.full((task.n_symbols, task.n_symbols), -1)
    labels[task.x.numpy(), task.y.numpy()] = task.label.numpy()
    return labels


def commutes(task: Task) -> bool:
    """Whether x ∘ y = y ∘ x throughout."""
    labels = table(task)
    return bool((labels == labels.T).all())


def token_classes(task: Task) -> tuple[Int[np.ndarray, "symbol"], Int[np.ndarray, "symbol"]]:
    """For each symbol the class it belongs to on the left and on the right; members of a class have equal rows
    (equal columns), so nothing in the task tells them apart there."""
    labels = table(task)
    left, right = (np.unique(lines, axis=0, return_inverse=True)[1].ravel() for lines in (labels, labels.T))
    return left, right


def facts(task: Task) -> Int[np.ndarray, "equation"]:
    """For each equation the number of the fact it states; those of one fact follow from each other by shortcuts."""
    labels = table(task)
    left, right = token_classes(task)
    x, y = task.x.numpy(), task.y.numpy()
    size = task.n_symbols
    first, second = left[x], right[y]
    if commutes(task):
        first, second = np.minimum(first, second), np.maximum(first, second)
    fact = first * size + second
    columns_begin = size**2 + (0 if commutes(task) else size)
    for lines, token, begin in ((labels, x, size**2), (labels.T, y, columns_begin)):
        constant = np.array([(line >= 0).any() and np.ptp(line[line >= 0]) == 0 for line in lines])
        fact = np.where(constant[token], begin + labels[x, y], fact)
    return np.unique(fact, return_inverse=True)[1].ravel()


def covered(task: Task, train: Int[Tensor, "train"], test: Int[Tensor, "test"]) -> Bool[np.ndarray, "test"]:
    """Which test equations follow from a train equation by shortcuts."""
    fact = facts(task)
    return np.isin(fact[test.numpy()], fact[train.numpy()])
