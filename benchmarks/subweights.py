"""`python -m benchmarks.subweights`: processor seconds for one simulation and a map of 2500 settings, on one core."""

from dataclasses import replace
from statistics import median
from time import process_time

import numpy as np

from grokbook.subweights import TABLE_1, simulate, simulate_many


def seconds(work, rounds: int) -> float:
    """The median over `rounds` of the processor time `work` takes."""
    taken = []
    for _ in range(rounds):
        start = process_time()
        work()
        taken.append(process_time() - start)
    return median(taken)


def main() -> None:
    """Print both times; the aims are 0.05 s and 10 s."""
    starts, prices = np.geomspace(1e-4, 0.9, 50), np.linspace(0.2, 2.4, 50)
    settings = [replace(TABLE_1["a"], w_g2=float(start), P_g=float(price)) for start in starts for price in prices]
    print(f"one setting, 10 000 steps     {seconds(lambda: simulate(TABLE_1['a']), 9):8.3f} s")
    print(f"2500 settings, 10 000 steps   {seconds(lambda: simulate_many(settings), 1):8.3f} s")


if __name__ == "__main__":
    main()
