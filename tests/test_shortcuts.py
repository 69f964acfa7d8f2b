"""Shortcuts of a memoriser: counted by formula, and by following them one step at a time."""

import numpy as np
import pytest
import torch

from grokbook.shortcuts import commutes, covered, facts, table, token_classes
from grokbook.tasks import TASKS, make_task

P = 11
NUMBERS = {
    "add": P * (P + 1) // 2,
    "subtract": P**2,
    "multiply": (P - 1) * P // 2 + 1,  # the zero row and the zero column are one fact
    "divide": (P - 1) ** 2 + 1,  # 0 / y = 0
    "divide-or-subtract": P * (P - 1),  # x - 0 = x / 1: the tokens 0 and 1 are the same on the right
    "sum-of-squares": (P + 1) // 2 * ((P + 1) // 2 + 1) // 2,
    "quadratic-form": P * (P + 1) // 2,
    "s5-conjugate": 120 * 119 + 1,  # x e x⁻¹ = e
    "s5-compose": 120**2,
    "s5-sandwich": 120**2,
}


@pytest.mark.parametrize("name", TASKS)
def test_number_of_facts(name: str) -> None:
    task = make_task(name, P)
    assert len(np.unique(facts(task))) == NUMBERS[name]
    assert commutes(task) == (name in ("add", "multiply", "sum-of-squares", "quadratic-form"))


@pytest.mark.parametrize("name", [name for name in TASKS if not name.startswith("s5")])
def test_covered_is_what_single_steps_reach(name: str) -> None:
    task = make_task(name, P)
    labels = table(task)
    train, test = task.split(15, seed=3)

    def reachable(start: tuple[int, int]) -> set[tuple[int, int]]:
        seen, todo = {start}, [start]
        while todo:
            x, y = todo.pop()
            steps = [(y, x)] if (labels == labels.T).all() else []
            steps += [(other, y) for other in range(P) if (labels[other] == labels[x]).all()]
            steps += [(x, other) for other in range(P) if (labels[:, other] == labels[:, y]).all()]
            row, column = labels[x][labels[x] >= 0], labels[:, y][labels[:, y] >= 0]
            steps += [(x, other) for other in range(P) if (row == row[0]).all() and labels[x, other] >= 0]
            steps += [(other, y) for other in range(P) if (column == column[0]).all() and labels[other, y] >= 0]
            todo += [step for step in steps if step not in seen]
            seen |= set(steps)
        return seen

    known = set().union(*(reachable(pair) for pair in zip(task.x[train].tolist(), task.y[train].tolist(), strict=True)))
    expected = [pair in known for pair in zip(task.x[test].tolist(), task.y[test].tolist(), strict=True)]
    assert covered(task, train, test).tolist() == expected


def test_covered_equations_have_the_label_they_are_covered_by() -> None:
    for name in TASKS:
        task = make_task(name, P)
        fact, label = facts(task), task.label.numpy()
        assert all(np.ptp(label[fact == number]) == 0 for number in np.unique(fact)[:200])


def test_in_addition_covered_is_the_opposite_of_mirror_free() -> None:
    task = make_task("add", P)
    train, test = task.split(40, seed=0)
    free = task.mirror_free(train, test)
    assert torch.equal(test[torch.from_numpy(~covered(task, train, test))], free)


def test_squares_do_not_tell_a_number_from_its_negative() -> None:
    left, right = token_classes(make_task("sum-of-squares", P))
    assert all(left[x] == left[-x % P] and right[x] == right[-x % P] for x in range(P))
    assert len(set(left)) == (P + 1) // 2
