"""Move the book to another public address: python book/address.py https://github.com/OWNER/NAME

Reads the present address from _config.yml and replaces it in every tracked text file, install cells included.
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    if len(sys.argv) != 2 or not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", sys.argv[1]):
        sys.exit("Say the new address: make address URL=https://github.com/OWNER/NAME")
    new = sys.argv[1].removesuffix(".git")
    old = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    # Colab, Binder and Pages write OWNER/NAME or OWNER.github.io/NAME without the host's address.
    pairs = [(old, new), (old.split("github.com/")[1], new.split("github.com/")[1]), (pages(old), pages(new))]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        path = ROOT / name
        if path.suffix not in {".md", ".toml", ".cff", ".yml", ".yaml", ".ipynb"}:
            continue
        before = after = path.read_text()
        for was, is_now in pairs:
            after = re.sub(rf"{re.escape(was)}(?![\w-])", is_now, after)
        if after != before:
            path.write_text(after)
            print(f"{name}: {old} -> {new}")


def pages(address: str) -> str:
    owner, name = address.split("github.com/")[1].split("/")
    return f"{owner}.github.io/{name}"


if __name__ == "__main__":
    main()
