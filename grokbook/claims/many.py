"""More than two circuits: what makes a staircase (Appendix A.1), and which frequencies a network uses (Appendix B).

The paper: the key frequencies "are typically whichever frequencies were highest at the time of random initialisation".
Measured on many initialisations: the frequencies of each one's embedding, in the order of their share of its squared
norm, and which of them the grokked network's logits use. The thresholds were fixed before the runs.
"""

from itertools import permutations

import numpy as np
import pandas as pd
from jaxtyping import Float

from grokbook import results
from grokbook.circuits import embedding_spectrum, masked_frequencies
from grokbook.claims.verdict import Claim, Finding, on_record
from grokbook.many_circuits import Circuit, ManyConfig, leaders, records, simulate
from grokbook.model import init
from grokbook.statistics import permutation_test
from grokbook.training import TrainConfig

GROKKED = 0.9  # accuracy on mirror-free test equations
ENOUGH = 8  # seeds
TYPICAL = 2 / 3  # "typically": so large a share of the keys are among the highest
SURE, LIKELY = 0.01, 0.05


def of_network(config: TrainConfig, key_mask: float) -> pd.DataFrame:
    """A row a frequency of one trained network: seed, frequency, initial_share (of the embedding), is_key."""
    W_E = init(config.model, config.make_task(), [config.seed])["W_E"][0]
    share = embedding_spectrum(W_E, config.modulus).numpy()
    frequency = np.arange(1, len(share) + 1)
    is_key = np.isin(frequency, masked_frequencies(key_mask))
    return pd.DataFrame({"seed": config.seed, "frequency": frequency, "initial_share": share, "is_key": is_key})


def recorded() -> tuple[pd.DataFrame, str]:
    """The frequencies of every recorded network that grokked, and its scale in words. Raises ValueError when none."""
    tables, words = [], []
    for name in results.names("key-frequencies"):
        ends = results.final(name)
        grokked = ends[ends["mirror_free_accuracy"] >= GROKKED]
        configs = [results.config(name, key) for key in grokked["run"]]
        tables += [of_network(c, mask) for c, mask in zip(configs, grokked["key_mask"], strict=True)]
        words.append(f"p = {configs[0].modulus}, {len(grokked)} of {len(ends)} networks grokked")
    if not tables:
        raise ValueError("names is empty; no key-frequencies experiment is recorded yet")
    return pd.concat(tables, ignore_index=True), "; ".join(words)


def by_rank(table: pd.DataFrame) -> Float[np.ndarray, "seed rank"]:
    """1 where a frequency is a key, 0 elsewhere; a row a seed, its frequencies from the highest initial share down."""
    rows = table.sort_values("initial_share", ascending=False).groupby("seed")["is_key"]
    return np.stack([row.to_numpy(float) for _, row in rows])


def mean_rank(keys: Float[np.ndarray, "seed rank"]) -> float:
    """Where the keys stand, averaged over a seed's keys and then over seeds: 0 highest, 1 lowest, 1/2 by chance."""
    place = np.linspace(0, 1, keys.shape[1])
    return float((keys @ place / keys.sum(1)).mean())


def among_highest(keys: Float[np.ndarray, "seed rank"]) -> float:
    """The share of a seed's n keys that are among its n highest, averaged over seeds."""
    counts = keys.sum(1).astype(int)
    return float(np.mean([row[:n].sum() / n for row, n in zip(keys, counts, strict=True)]))


def key_frequencies(table: pd.DataFrame, scale: str) -> Finding:
    """Confirmed when at least TYPICAL of the keys are among the highest, and keys permuted within each seed seldom
    stand as high (p below SURE); partly when they seldom do (p below LIKELY); otherwise not confirmed."""
    if not table["is_key"].any():
        return Finding("not testable here", "no network has a key frequency", scale, "none grokked")
    keys = by_rank(table[table.groupby("seed")["is_key"].transform("any")])
    rank, top = mean_rank(keys), among_highest(keys)
    p = permutation_test(keys, lambda permuted: 1 - mean_rank(permuted), most=4000)
    chance = float((keys.sum(1) / keys.shape[1]).mean())
    measured = f"on average {top:.0%} of a network's keys are among its highest frequencies (chance {chance:.0%})"
    measured += f"; mean rank {rank:.2f}, between 0 and 1 (chance .5, permutation P <= {p:.2g})"
    if len(keys) < ENOUGH:
        return Finding("not testable here", measured, scale, f"fewer than {ENOUGH} networks grokked")
    if top >= TYPICAL and p < SURE:
        return Finding("confirmed", measured, scale, "most keys are the highest frequencies of the initial embedding")
    if p < LIKELY:
        return Finding("partly", measured, scale, "a high start helps a frequency, and does not decide")
    return Finding("not confirmed", measured, scale, "the initial embedding does not tell the keys from the others")


def orders(circuits: int = 4) -> list[ManyConfig]:
    """Every order of efficiency among circuits of decreasing speed; the slower a circuit, the wider its coverage."""
    speeds, coverage = np.geomspace(1, 1e-3, circuits), np.linspace(0, 1, circuits)
    return [
        ManyConfig(tuple(map(Circuit, norms, speeds.tolist(), coverage.tolist())), kappa=1.2)
        for norms in permutations(np.geomspace(1, 4, circuits).tolist())
    ]


def staircase() -> Finding:
    """In the simulation: for every order of efficiency, do exactly those circuits lead in turn that are more efficient
    than all faster ones? At best not testable here, for the paper speaks of networks, where circuits have no names."""
    configs = orders()
    history = simulate(configs, steps=25_000, every=50)
    led = [leaders(run) for _, run in history.groupby("run")]
    agree = sum(found == records(config) for found, config in zip(led, configs, strict=True))
    measured = f"exactly such circuits lead in {agree} of {len(configs)} orders of efficiency among four circuits"
    if agree == len(configs):
        reason = "true of the model at these norms and speeds; in a network, plateaus have no circuit to their name"
        return Finding("not testable here", measured, "simulation", reason)
    return Finding("not confirmed", measured, "simulation", "not even in the model")


CLAIMS = {
    "Appendix A.1, staircase": Claim(
        "Section 5.3, Appendix A.1",
        "Each plateau ends with a circuit more efficient, and slower to learn, than any before.",
        "a speculation",
        "14-many-circuits",
        staircase,
    ),
    "Appendix B, key frequencies": Claim(
        "Appendix B",
        "The key frequencies are typically whichever were highest at initialisation.",
        "typically",
        "14-many-circuits",
        on_record(lambda known: key_frequencies(*known), recorded),
    ),
}
