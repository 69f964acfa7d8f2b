"""Settings of torch's arithmetic that training needs, each given back as it was found."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed_subnormals() -> Iterator[None]:
    """Numbers below 1e-38 count as 0: late in training there are many, and a CPU is five times slower with them."""
    before = (torch.tensor([1e-38]) * 1e-3).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextmanager
def products(precision: str) -> Iterator[None]:
    """Matrix products of float32 in "highest", "high" or "medium" precision, as torch names them.

    The setting is of the whole process: two threads that want different ones must not train at once.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
