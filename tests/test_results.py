import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grokbook import record, results, runs
from grokbook.batches import run_here
from grokbook.experiments import EXPERIMENTS, Experiment
from grokbook.model import ModelConfig
from grokbook.training import TrainConfig

START = TrainConfig("add", 7, 49, 50, model=ModelConfig(8, 4, 16))
RUNS = [
    replace(START, train_size=size, seed=seed, steps=80, start=replace(START, seed=seed))
    for size in (15, 25)
    for seed in (0, 1)
]
TINY = Experiment("tiny", "none", "For tests.", {"small": lambda: RUNS}, keeps_network=True)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory):
    """The package folder and a runs folder in which three of the four runs have finished, and their provenance."""
    folder = tmp_path_factory.mktemp("results")
    run_here(RUNS[:3], folder / "runs")
    return folder, record.record(TINY, "small", folder / "runs", folder / "data")


@pytest.fixture
def recorded(package, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder, _ = package
    monkeypatch.setattr(results, "files", lambda _: folder)
    return folder


def test_a_table_holds_what_the_runs_measured(recorded: Path) -> None:
    table = results.load("tiny")
    assert table["run"].nunique() == 3
    for config in RUNS[:3]:
        rows = table[table["run"] == config.key]
        history = runs.load(recorded / "runs", config).history
        assert rows["step"].tolist() == history["step"].tolist()
        assert rows["train_loss"].to_numpy() == pytest.approx(history["train_loss"].to_numpy(), rel=1e-6)
        assert (rows["train_size"].iloc[0], rows["seed"].iloc[0]) == (config.train_size, config.seed)
        assert rows["start"].iloc[0] == config.start.key
    assert set(table["start"]) == set(results.load_starts("tiny")["run"])
    assert set(table.columns) < set(results.COLUMNS)
    assert results.final("tiny")["step"].tolist() == [80, 80, 80]


def test_provenance_says_what_is_missing_and_gives_back_every_configuration(recorded: Path) -> None:
    provenance = results.provenance("tiny")
    states = {run["key"]: run["state"] for run in provenance["runs"]}
    assert states[RUNS[3].key] == "missing"
    assert provenance["runs_by_state"]["missing"] == 1
    assert {*provenance["columns"], *results.CONFIG_COLUMNS} == {*results.load("tiny").columns, "is_start"}
    for config in RUNS:
        assert results.config("tiny", config.key) == config
    converged = results.final("tiny").set_index("run")["converged"]
    assert all(states[key] == ("converged" if flag else "unconverged") for key, flag in converged.items())
    with pytest.raises(ValueError, match="key is 'zz'; 0 runs"):
        results.config("tiny", "zz")


def test_the_overview_counts_what_is_there_and_what_is_not(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPERIMENTS, "tiny", TINY)
    found = results.overview()
    assert found.index.tolist() == ["tiny"]  # the others are not on record in this folder
    assert found.loc["tiny", ["runs", "still to run"]].tolist() == [3 + 2, 1]  # and two starts
    ended = results.last_rows(pd.concat([results.load("tiny"), results.load_starts("tiny")], ignore_index=True))
    assert found.loc["tiny", "converged"] == ended["converged"].sum()
    assert found.loc["tiny", "core hours"] == results.provenance("tiny")["worker_hours"]


def test_a_recorded_run_gives_its_numbers_again(recorded: Path) -> None:
    table = results.load("tiny")
    for config, steps in ((RUNS[0], None), (RUNS[2], 30)):
        both = record.rerun(results.config("tiny", config.key), table[table["run"] == config.key], steps)
        assert both["step"].max() <= (steps or 80)
        assert set(both["column"]) >= {"train_loss", "mirror_free_accuracy", "trig_share"}
        np.testing.assert_allclose(both["rerun"], both["recorded"], rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="steps is 81; it must be between 0 and 80"):
        record.rerun(RUNS[0], table[table["run"] == RUNS[0].key], 81)


def test_a_run_on_record_in_the_package_gives_its_numbers_again() -> None:
    table = results.load("key-frequencies")
    config = results.config("key-frequencies", table["run"].iloc[0])
    both = record.rerun(config, table[table["run"] == config.key], 50)
    assert both["step"].max() > 20 and {"train_loss", "parameter_norm"} <= set(both["column"])
    np.testing.assert_allclose(both["rerun"], both["recorded"], rtol=1e-3, atol=1e-4)


def test_the_kept_network_is_the_first_runs(recorded: Path) -> None:
    saved = runs.load(recorded / "runs", RUNS[0]).params
    assert all((results.network("tiny")[name][0] == weight).all() for name, weight in saved.items())


def test_thinning_keeps_the_ends_and_the_size() -> None:
    table = results.tidy(run_here(RUNS[:1]))
    thinned = record.thin(table, 1, numbers=1)
    assert (len(thinned), thinned["step"].min(), thinned["step"].max()) == (20, 0, 80)


def test_diverged_runs_are_counted_and_do_not_pass_for_converged(recorded: Path, tmp_path: Path) -> None:
    for config in (RUNS[0], RUNS[0].start):
        runs.save(tmp_path, runs.load(recorded / "runs", config))
    broken = replace(runs.load(recorded / "runs", RUNS[2]), diverged_at=70, params={})
    runs.save(tmp_path, broken)
    provenance = record.record(TINY, "small", tmp_path, tmp_path / "data")
    assert provenance["runs_by_state"]["diverged"] == 1
    assert not results.tidy([broken])["converged"].any()


def test_a_name_that_is_not_recorded_is_refused(recorded: Path) -> None:
    with pytest.raises(ValueError, match="name is 'nothing'; recorded are tiny"):
        results.load("nothing")


def test_the_packages_own_data_is_small_described_and_of_known_experiments() -> None:
    if not record.DATA.exists():
        return
    assert sum(path.stat().st_size for path in record.DATA.iterdir()) < 20e6
    for path in record.DATA.glob("*.parquet"):
        name = path.stem
        begun = time.process_time()
        results.load(name)
        assert time.process_time() - begun < 1, f"{name} takes long to load"
        provenance = json.loads(path.with_suffix(".json").read_text())
        assert {*provenance["columns"], *results.CONFIG_COLUMNS} == {*results.load(name).columns, "is_start"}
        wanted = {config.key for config in EXPERIMENTS[name].runs(provenance["scale"])}
        assert set(results.load(name)["run"]) <= wanted


def test_experiments_are_found_by_the_beginning_of_their_names() -> None:
    names = results.names("grokking", "memorisation")
    assert names[0] == "grokking" and "memorisation" in names and "semi-grokking" not in names
    table = results.load_all("grokking")
    parts = [results.load(name) for name in names if name.startswith("grokking")]
    assert len(parts) > 1 and len(table) == sum(map(len, parts))
    assert not table.duplicated(["run", "step"]).any()
    with pytest.raises(ValueError, match="no experiment whose name begins so is recorded"):
        results.load_all("nothing")
