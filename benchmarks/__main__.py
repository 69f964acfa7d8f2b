"""`make bench`: one table of measured speeds. Run it on a quiet machine."""

import platform

import torch
import typer

from benchmarks import transformer


def main(rounds: int = 20, to_generalise: bool = True) -> None:
    """Print milliseconds a step, ratios, ensemble scaling and the time to generalise."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor() or platform.machine()}")
    ms = transformer.interleaved(
        {
            "ours, float32": transformer.ours(113, 3830, 1, transformer.ModelConfig()),
            "ours, medium": transformer.ours(113, 3830, 1, transformer.ModelConfig(), "medium"),
            "floor, float32": transformer.floor(),
            "floor, medium": transformer.floor("medium"),
            "plain PyTorch": transformer.textbook(),
            "TransformerLens": transformer.transformer_lens(with_test=False),
            "TransformerLens with its test forward": transformer.transformer_lens(with_test=True),
        },
        rounds,
    )
    print(f"\n{'one step, p = 113, D = 3830':40}{'ms':>8}{'steps/s':>10}{'÷ ours':>8}{'÷ medium':>10}")
    for name, value in ms.items():
        against = f"{value / ms['ours, float32']:8.2f}{value / ms['ours, medium']:10.2f}"
        print(f"{name:40}{value:8.1f}{1000 / value:10.1f}{against}")
    print(f"ours over the floor: {ms['ours, float32'] / ms['floor, float32']:.2f} in float32")
    per_run = transformer.ensembles(rounds)
    print(f"\n{'runs in an ensemble, p = 31, D = 200':40}{'ms/run-step':>12}{'÷ alone':>9}")
    for runs, value in per_run.items():
        print(f"{runs:<40}{value:12.3f}{value / per_run[1]:9.2f}")
    if to_generalise:
        for precision in ("highest", "medium"):
            print(f"\n99% test accuracy at p = 113, D = 3831, {precision}: {transformer.time_to_generalise(precision)}")


if __name__ == "__main__":
    typer.run(main)
