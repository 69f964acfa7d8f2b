"""The widget's JavaScript, run by node, against grokbook.theory; and its Python side."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import traitlets

from grokbook.theory import cross_entropy, effective_norm, loss, optimal_weights
from grokbook.widgets.circuit_split import CircuitSplit
from grokbook.widgets.source import source

NODE = shutil.which("node") or shutil.which("node", path=Path(sys.executable).parent)

PROGRAM = """
const split = await import(process.argv[1]);
const cases = JSON.parse((await import("node:fs")).readFileSync(0, "utf8"));
const rows = cases.map(([ratio, kappa, alpha, q]) => {
  const [g, m] = split.optimalWeights(ratio, kappa, alpha, q);
  return [g, m, split.effectiveNorm(ratio, kappa, q), split.loss(g, m, ratio, kappa, alpha, q)];
});
console.log(JSON.stringify(rows));
"""


def settings() -> np.ndarray:
    """Over the sliders' whole range; a tenth each at kappa = q, within a thousandth of it, and at a tie."""
    rng = np.random.default_rng(4)
    ratio, kappa, q = 2 ** rng.uniform(-2, 2, 240), rng.uniform(0.2, 4, 240), rng.uniform(0.5, 4, 240)
    kappa[:24], ratio[48:72] = q[:24], 1.0
    kappa[24:48] = q[24:48] + rng.uniform(-1e-3, 1e-3, 24)
    return np.stack([ratio, kappa, 10 ** rng.uniform(-5, 1, 240), q], axis=1)


def test_javascript_and_python_agree(tmp_path):
    cases = settings()
    module = tmp_path / "widget.mjs"
    module.write_text(source("circuit_split"))
    command = [NODE, "--input-type=module", "--eval", PROGRAM, module.as_uri()]
    ran = subprocess.run(command, input=json.dumps(cases.tolist()), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    ours = np.array(json.loads(ran.stdout))
    train_loss = cross_entropy(113)
    theirs = []
    for ratio, kappa, alpha, q in cases:
        weights = optimal_weights([ratio, 1], kappa, alpha, q)
        value = loss(weights, [ratio, 1], kappa, alpha, q, train_loss)
        theirs.append([*weights, effective_norm([ratio, 1], kappa, q), value])
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-300)
    assert 10 < (ours[:, :2].sum(1) == 0).sum() < 150  # both kinds of optimum are among the cases


def test_settings_give_the_theorem_and_are_bounded():
    widget = CircuitSplit(ratio=0.5, kappa=1.2, alpha=0.01)
    assert widget.weights[0] / widget.weights[1] == pytest.approx(8)
    with pytest.raises(traitlets.TraitError):
        widget.kappa = 0
