"""Does each regulariser's own norm place the size at which networks forget under it? (Chapter 13)

As in Chapter 12, with the norm that is charged for in the place of the Euclidean one. What memory costs comes from
random labels under the same regulariser, what knowing the table costs from networks trained on all of it, and D* from
runs that go on from these with fewer pairs. Every kind has one strength on record here, so that is what is held equal.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from grokbook import alternatives, efficiency, fronts, results
from grokbook.alternatives import NORMS, OWN
from grokbook.threshold import interval, measured, predicted, with_bounds


class Networks(NamedTuple):
    """Runs under explicit regularisers: a row each for those on random labels (`mem`) and on the whole table (`gen`),
    and the histories of those that continue the latter on fewer pairs (`forgetting`)."""

    mem: pd.DataFrame
    gen: pd.DataFrame
    forgetting: pd.DataFrame


def recorded() -> Networks:
    """Those on record. Raises ValueError when there are none."""
    starts = alternatives.described(results.load_starts("regularisers"))
    after = alternatives.recorded()
    return networks(alternatives.recorded(random_labels=True), starts, after[after["start"] != ""])


def networks(random: pd.DataFrame, starts: pd.DataFrame, after: pd.DataFrame) -> Networks:
    """Sort `described` histories; memorising and starting networks count if they answer every train equation."""
    mem, gen = (efficiency.settled(table[table["kind"].isin(OWN)]) for table in (random, starts))
    gen = gen[gen["train_accuracy"] == 1]
    forgetting = after[after["kind"].isin(OWN) & after["start"].isin(gen["run"])]
    return Networks(mem[efficiency.memorising(mem)], gen, forgetting)


def of_kind(of: Networks, kind: str) -> Networks:
    """The networks of one kind of regulariser."""
    return Networks(*(side[side["kind"] == kind] for side in of))


def table(of: Networks, norm: str | None = None) -> pd.DataFrame:
    """A row for each kind that has a front D*; a kind's networks have one strength.

    Columns: kind, weight_decay (that strength), seeds, norm, measured, predicted, and the bounds of both (`_low`,
    `_high`); predicted is the size at which memory costs what knowing the whole table does, nan where these prices do
    not cross. norm: one of NORMS; each kind's own when None. Raises ValueError for another norm.
    """
    if norm not in (None, *NORMS):
        raise ValueError(f"norm is {norm!r}; allowed are None and {', '.join(NORMS)}")
    rows = []
    for kind in of.forgetting["kind"].unique():
        own, name = of_kind(of, kind), norm or OWN[kind]
        strength, found = own.forgetting["weight_decay"].iloc[0], measured(own.forgetting, fronts.end)
        if found.empty:
            continue
        row = {"kind": kind, "weight_decay": strength, "seeds": found["seed"].nunique(), "norm": name}
        row |= with_bounds("measured", (fronts.place(found), *interval(found, fronts.place)))
        mem, gen = (_priced(side, strength, name) for side in (own.mem, own.gen))
        try:
            row |= with_bounds("predicted", predicted(mem, gen, "weight decay"))
        except ValueError:
            row |= with_bounds("predicted", (np.nan,) * 3)
        rows.append(row)
    return pd.DataFrame(rows)


def _priced(side: pd.DataFrame, strength: float, norm: str) -> pd.DataFrame:
    """The rows of one strength that have this norm, in the column that `threshold.predicted` reads."""
    rows = side[side["weight_decay"] == strength]
    return rows.assign(parameter_norm=rows[norm] if norm in rows else np.nan).dropna(subset="parameter_norm")
