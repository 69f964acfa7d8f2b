from dataclasses import replace

import pandas as pd
import pytest

from grokbook import results
from grokbook.batches import with_starts
from grokbook.circuits import key_metric
from grokbook.experiments import EXPERIMENTS, SCALES, log_steps, metrics
from grokbook.model import ModelConfig
from grokbook.regularisers import norm_metrics
from grokbook.tasks import make_task
from grokbook.training import TrainConfig, check_alike

ALL = [(name, scale) for name, experiment in EXPERIMENTS.items() for scale in SCALES if scale in experiment.scales]


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_runs_are_distinct_and_their_starts_are_complete(name: str, scale: str) -> None:
    configs = EXPERIMENTS[name].runs(scale)
    assert len({config.key for config in configs}) == len(configs) > 0
    assert TrainConfig.from_json(configs[-1].to_json()) == configs[-1]
    tables = {(config.task, config.modulus) for config in configs}
    equations = {table: len(make_task(*table)) for table in tables}
    for config in configs:
        if config.start is not None:
            assert config.start.train_size == equations[config.task, config.modulus] > config.train_size
            assert all(getattr(config.start, name) == getattr(config, name) for name in ("seed", "model", "task"))


def test_recorded_scale_covers_what_the_figures_need() -> None:
    def seen(name: str, field: str) -> set:
        return {getattr(config, field) for config in EXPERIMENTS[name].runs("small")}

    assert seen("memorisation-113", "train_size") == {500, 1000, 2000, 4000, 8000}
    assert seen("generalisation-113", "train_size") == {4000, 5500, 7000, 8500}
    for name, seeds in (("memorisation", 5), ("generalisation", 5), ("memorisation-113", 3), ("generalisation-113", 3)):
        assert len(seen(name, "weight_decay")) >= 4
        assert len(seen(name, "seed")) >= seeds
    assert seen("memorisation-113", "weight_decay") == seen("generalisation-113", "weight_decay")
    assert seen("ungrokking", "weight_decay") == {0.1, 0.5, 1.0, 1.5, 2.0}
    assert len(seen("ungrokking", "train_size")) >= 10
    assert (min(seen("ungrokking-113", "train_size")), max(seen("ungrokking-113", "train_size"))) == (390, 1494)
    assert seen("ungrokking-113-decay", "weight_decay") == {0.1, 0.5, 1.5, 2.0}
    assert len(seen("ungrokking-113-decay", "train_size") & seen("ungrokking-113", "train_size")) >= 4
    assert seen("ungrokking-113-decay", "start") == seen("ungrokking-113", "start")
    assert seen("long-ungrokking-113", "steps") == {100_000}
    for field in ("train_size", "seed", "start", "weight_decay"):
        assert seen("long-ungrokking-113", field) == seen("ungrokking-113", field)
    assert len(seen("other-tasks", "task") | seen("other-tasks-s5", "task")) == 9
    assert len(seen("semi-grokking", "seed")) >= 10


def test_records_cover_what_the_figures_need() -> None:
    """The same of what is really there: the sizes, weight decays and seeds that were run and have rows."""

    def runs(name: str) -> pd.DataFrame:
        return results.load(name).drop_duplicates("run")

    semi = runs("semi-grokking")
    seeds = semi.groupby("train_size")["seed"].nunique()
    assert (seeds >= 10).sum() >= 10
    others = pd.concat([runs("other-tasks"), runs("other-tasks-s5")])
    assert others["task"].nunique() == 9
    for task, rows in others.groupby("task", observed=True):
        decays = rows.groupby("train_size")["weight_decay"].nunique()
        assert (decays >= 2).sum() >= 8, task
    forgetting = runs("ungrokking").groupby(["weight_decay", "train_size"])["seed"].nunique().unstack()
    full = (forgetting >= 3).sum(axis=1)
    assert len(full) == 5 and (full >= 10).all()
    for name, sizes in (("memorisation-113", 5), ("generalisation-113", 4)):
        seeds = runs(name).groupby(["weight_decay", "train_size"])["seed"].nunique().unstack()
        assert seeds.shape == (4, sizes) and (seeds >= 2).all(axis=None), name
    short, long = (
        runs(name).groupby("train_size")["seed"].nunique() for name in ("ungrokking-113", "long-ungrokking-113")
    )
    assert len(short) == 7 and (short >= 3).all()
    assert set(long.index) == set(short.index) and (long >= 3).all()
    assert set(runs("long-ungrokking-113")["steps"]) == {100_000}


def test_live_runs_of_one_circuit_alone_are_what_chapter_07_says() -> None:
    memorising, generalising = (EXPERIMENTS[name].runs("live") for name in ("memorisation", "generalisation"))
    assert len({config.train_size for config in memorising}) == 3 and len({config.seed for config in memorising}) == 2
    assert len({config.train_size for config in generalising}) == 1 and len(generalising) == 3
    assert len({(c.steps, c.weight_decay, c.modulus) for c in memorising + generalising}) == 1


def test_live_ungrokking_is_what_chapters_08_and_11_say() -> None:
    configs = EXPERIMENTS["ungrokking"].runs("live")
    sizes, decays = ({getattr(config, name) for config in configs} for name in ("train_size", "weight_decay"))
    assert (len(configs), len(sizes), len(decays)) == (8, 4, 2) and 1.0 in decays
    assert min(sizes) < 0.05 * 31**2 and max(sizes) > 0.4 * 31**2
    assert {(config.modulus, config.seed, config.start and config.start.train_size) for config in configs} == {
        (31, 0, 31**2)
    }


def test_one_start_is_shared_by_all_weight_decays() -> None:
    configs = EXPERIMENTS["ungrokking"].runs("small")
    starts = set(with_starts(configs)) - set(configs)
    assert len(starts) == len({config.seed for config in configs})
    assert {start.weight_decay for start in starts} == {1.0}


@pytest.mark.parametrize("scale", ["live", "small"])
def test_runs_from_scratch_are_twins_of_ungrokking_runs(scale: str) -> None:
    trading, ungrokking = (EXPERIMENTS[name].runs(scale) for name in ("trading-norm", "ungrokking"))
    fresh = {config for config in trading if config.start is None}
    twins = {replace(config, start=None) for config in ungrokking if config.weight_decay == 1 and config.seed < 3}
    assert fresh == twins
    assert {config.start for config in trading} <= {None, *(config.start for config in ungrokking)}


def test_small_runs_of_appendix_a_use_its_model() -> None:
    """And no others do: an experiment at p = 113 says so by its name, or is of grokking itself."""
    for name, experiment in EXPERIMENTS.items():
        if "small" not in experiment.scales:
            continue
        runs = experiment.runs("small")
        if "113" in name or name.startswith("grokking"):
            assert {(config.modulus, config.model) for config in runs} == {(113, ModelConfig(128, 32, 512))}, name
        else:
            assert all(config.modulus != 113 for config in runs), name


def test_paper_semi_grokking_sizes_leave_out_figure_6s() -> None:
    sizes = {config.train_size for config in EXPERIMENTS["semi-grokking"].runs("paper")}
    assert len(sizes) == 20
    assert {1500, 2050} < sizes
    assert 1532 not in sizes


def test_trig_columns_exactly_where_the_projection_exists() -> None:
    config = TrainConfig("add", 7, 20, 10)
    assert metrics(config)
    assert not metrics(replace(config, random_labels=True))
    assert not metrics(replace(config, modulus=8))
    assert not metrics(replace(config, task="subtract"))


def test_log_steps_hold_both_ends_and_are_dense_enough_to_judge_convergence() -> None:
    steps = log_steps(TrainConfig("add", 7, 20, 10_000))
    assert (steps[0], steps[-1]) == (0, 10_000)
    assert sum(2500 <= step < 5000 for step in steps) >= 8


def test_unknown_scale_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="scale is 'huge'; grokking has live, small, paper"):
        EXPERIMENTS["grokking"].runs("huge")


def test_a_config_may_share_an_ensemble_with_its_other_seeds() -> None:
    check_alike([c for c in EXPERIMENTS["grokking"].runs("small")])


def test_every_network_of_key_frequencies_has_its_own_seed_and_says_its_keys() -> None:
    configs = EXPERIMENTS["key-frequencies"].runs("small")
    assert len({config.seed for config in configs}) == len(configs) == 48
    assert len({config.train_size for config in configs}) == 4
    assert EXPERIMENTS["key-frequencies"].runs("live") == configs[:2]
    assert all(key_metric in metrics(config) for config in configs)


def test_regularisers_differ_in_what_holds_the_weights_down_and_in_nothing_else() -> None:
    every = EXPERIMENTS["regularisers"].runs("small")
    configs = [config for config in every if not config.random_labels]
    fresh = [config for config in configs if config.start is None]
    kinds = {(c.regulariser, c.optimiser, c.dropout, c.loss, c.epsilon, c.weight_decay) for c in fresh}
    assert len([c for c in fresh if c.train_size == 420]) == 5 * len(kinds)
    assert len({(c.model, c.modulus, c.task, c.random_labels, c.betas) for c in configs}) == 1
    assert {(c.train_size, c.steps) for c in fresh} == {(420, 40_000), (340, 5000)}
    assert {c.regulariser for c in fresh} == {"decoupled", "l1", "l2", "linf"}
    decays = [c.weight_decay for c in fresh if c.regulariser == "decoupled" and c.weight_decay > 0]
    assert max(decays) == 100 * min(decays)
    assert {c.loss for c in fresh if c.weight_decay == c.dropout == 0} == {"stable", "cross-entropy"}


def test_where_something_other_than_weight_decay_charges_random_labels_measure_its_norm() -> None:
    random = [config for config in EXPERIMENTS["regularisers"].runs("small") if config.random_labels]
    assert {(config.regulariser, metrics(config)) for config in random} == {
        ("decoupled", ()),
        *((name, (norm_metrics,)) for name in ("l1", "l2", "linf")),
    }
    kept = {c.train_size for c in EXPERIMENTS["regularisers"].runs("small") if c.start and not c.dropout}
    assert {config.train_size for config in random} == kept


def test_networks_forget_under_the_regulariser_that_made_them() -> None:
    for config in EXPERIMENTS["regularisers"].runs("small"):
        if config.start is not None:
            start = replace(config, train_size=529, steps=config.start.steps, start=None)
            control = replace(start, weight_decay=1e-3 if config.optimiser == "sgd" else 1.0, dropout=0.0)
            assert config.start == (start if config.weight_decay else control)
