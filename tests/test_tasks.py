"""Label tables against Python's own arithmetic, permutation objects and the group axioms."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy.combinatorics import Permutation

from grokbook.tasks import TASKS, is_prime, make_task, s5

FORMULAS = {
    "add": lambda x, y, p: (x + y) % p,
    "subtract": lambda x, y, p: (x - y) % p,
    "multiply": lambda x, y, p: x * y % p,
    "divide": lambda x, y, p: x * pow(y, -1, p) % p,
    "divide-or-subtract": lambda x, y, p: x * pow(y, -1, p) % p if y % 2 else (x - y) % p,
    "sum-of-squares": lambda x, y, p: (x**2 + y**2) % p,
    "quadratic-form": lambda x, y, p: (x**2 + x * y + y**2) % p,
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("p", [3, 7, 53, 113])
def test_modular_tables_agree_with_python(name, p):
    task = TASKS[name](p)
    expected = [FORMULAS[name](x, y, p) for x, y in zip(task.x.tolist(), task.y.tolist(), strict=True)]
    assert task.label.tolist() == expected
    assert len(task) == p * (p - 1 if name == "divide" else p)
    assert len({*zip(task.x.tolist(), task.y.tolist(), strict=True)}) == len(task)
    assert (task.n_symbols, task.n_classes, task.name) == (p, p, name)


def test_s5_is_a_group():
    table, inverse = s5()
    assert table.shape == (120, 120)
    for i in range(120):
        assert sorted(table[i]) == sorted(table[:, i]) == list(range(120))  # closed, and every element occurs once
    assert (table[0] == range(120)).all() and (table[:, 0] == range(120)).all()
    assert (table[range(120), inverse] == 0).all() and (table[inverse, range(120)] == 0).all()
    assert (table[table, :] == table[:, table]).all()  # (ab)c = a(bc) for all 120³ triples


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 119), st.integers(0, 119))
def test_s5_tasks_agree_with_sympy(i, j):
    elements = [Permutation(list(e)) for e in permutations(range(5))]
    number = {tuple(e.array_form): n for n, e in enumerate(elements)}
    x, y = elements[i], elements[j]
    # SymPy composes left to right; a∘b here applies b first.
    expected = {"s5-compose": y * x, "s5-conjugate": x**-1 * y * x, "s5-sandwich": x * y * x}
    for name, product in expected.items():
        assert TASKS[name](0).label[120 * i + j] == number[tuple(product.array_form)]


def test_there_are_ten_tasks_in_the_papers_order():
    assert list(TASKS) == [*FORMULAS, "s5-conjugate", "s5-compose", "s5-sandwich"]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 121), st.integers(1, 121), st.integers(0, 1000))
def test_splits_partition_nest_and_repeat(size, other, seed):
    task = TASKS["add"](11)
    train, test = task.split(size, seed)
    assert len(train) == size and sorted([*train.tolist(), *test.tolist()]) == list(range(121))
    assert torch.equal(train, task.split(size, seed)[0])
    smaller, larger = sorted([size, other])
    assert set(task.split(smaller, seed)[0].tolist()) <= set(task.split(larger, seed)[0].tolist())


def test_splits_differ_between_seeds():
    task = TASKS["add"](11)
    assert not torch.equal(task.split(60, 0)[0], task.split(60, 1)[0])


def test_random_labels_are_fixed_by_the_seed_and_uniform():
    task = TASKS["add"](53)
    random = task.with_random_labels(4)
    assert torch.equal(random.label, task.with_random_labels(4).label)
    assert not torch.equal(random.label, task.with_random_labels(5).label)
    counts = random.label.bincount(minlength=53)
    chi_squared = ((counts - 53.0) ** 2 / 53).sum()  # 52 degrees of freedom: mean 52, deviation 10
    assert counts.sum() == 53**2 and 15 < chi_squared < 110
    assert torch.equal(random.x, task.x) and task.label[0] == 0


def test_mirror_free_leaves_out_what_commutative_memorising_answers():
    task = TASKS["add"](7)
    train, test = task.split(20, 0)
    seen = {(task.x[i].item(), task.y[i].item()) for i in train}
    expected = [i for i in test.tolist() if (task.y[i].item(), task.x[i].item()) not in seen]
    assert task.mirror_free(train, test).tolist() == expected
    minus = TASKS["subtract"](7)  # x - y is not y - x, unless both are the same
    assert minus.mirror_free(*minus.split(20, 0)).tolist() == minus.split(20, 0)[1].tolist()


@given(st.integers(-5, 3000))
def test_is_prime_is_having_no_divisor(n):
    assert is_prime(n) == (n > 1 and not any(n % d == 0 for d in range(2, n)))


@pytest.mark.parametrize("name", ["divide", "divide-or-subtract"])
def test_division_needs_a_prime(name):
    with pytest.raises(ValueError, match="modulus is 12; division needs a prime modulus"):
        make_task(name, 12)


@pytest.mark.parametrize("name", FORMULAS)
def test_moduli_are_whole_numbers_of_any_kind(name):
    with pytest.raises(ValueError, match=r"modulus is 7\.5; "):
        make_task(name, 7.5)
    assert torch.equal(make_task(name, np.int64(7)).label, make_task(name, 7).label)


@pytest.mark.parametrize("size", [0, -3, 122])
def test_train_sizes_outside_the_domain_are_refused(size):
    with pytest.raises(ValueError, match=f"train_size is {size}; add allows 1 to 121"):
        TASKS["add"](11).split(size, 0)


def test_unknown_tasks_and_small_moduli_are_refused():
    with pytest.raises(ValueError, match="task is 'plus'; it must be one of add, subtract"):
        make_task("plus", 11)
    with pytest.raises(ValueError, match="modulus is 1; it must be an integer of at least 2"):
        make_task("add", 1)
