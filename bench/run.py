"""Runs the benches, all or the one that is named: run.py [NAME]; one line of JSON a figure."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

NAMES = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in ("run", "common", "synthetic"))


def main() -> None:
    """Run what was asked for."""
    wanted = sys.argv[1:] or NAMES
    for name in wanted:
        if name not in NAMES:
            sys.exit(f"no bench {name}; known: {', '.join(NAMES)}")
        import_module(name).main()


if __name__ == "__main__":
    main()
