# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a benchmark says what it measured: samples of the same run, their noise, ratios between them, one JSON file."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Figure:
    """Samples of one quantity. `noise`: (max - min) / median in percent; a ratio closer to 1 than that says nothing."""

    name: str
    unit: str
    samples: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def noise(self) -> float:
        """Spread of the samples, percent of the median."""
        return 100 * (max(self.samples) - min(self.samples)) / self.median if self.median else 0.0

    def as_dict(self) -> dict[str, object]:
        """For the JSON file."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": round(self.median, 4),
            "min": round(min(self.samples), 4),
            "max": round(max(self.samples), 4),
            "noise_percent": round(self.noise, 1),
            "samples": len(self.samples),
        }


@dataclass
class Ratio:
    """`figure` / `against`, and the bound that the project promises for it (empty: none)."""

    name: str
    value: float
    promise: str = ""
    kept: bool | None = None

    @classmethod
    def at_least(cls, name: str, value: float, bound: float) -> Ratio:
        """A ratio that must not be smaller than `bound`."""
        return cls(name, value, f">= {bound:g}", value >= bound)

    @classmethod
    def at_most(cls, name: str, value: float, bound: float) -> Ratio:
        """A figure that must not be larger than `bound`."""
        return cls(name, value, f"<= {bound:g}", value <= bound)


def rounds(usual: int) -> int:
    """How often to measure: as usual, or fewer if $EGRESS_BENCH_ROUNDS says so."""
    return min(usual, int(os.environ.get("EGRESS_BENCH_ROUNDS", usual)))


def paired(figure: Figure, against: Figure) -> float:
    """Median of the ratios round by round: both samples of a round met the same moment of the machine."""
    return statistics.median(a / b for a, b in zip(figure.samples, against.samples, strict=True))


def table(rows: Iterable[Iterable[object]]) -> str:
    """Rows as aligned text: the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row in cells:
        rest = "  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append(f"  {row[0].ljust(widths[0])}  {rest}".rstrip())
    return "\n".join(lines)


def _summary(figures: list[Figure]) -> str:
    shown = [(f"{f.name} [{f.unit}]", f.median, min(f.samples), max(f.samples), f"{f.noise:.0f} %") for f in figures]
    rows = [(name, *(f"{number:.4g}" for number in numbers), noise) for name, *numbers, noise in shown]
    return table([("", "median", "min", "max", "noise"), *rows])


def publish(title: str, figures: list[Figure], ratios: list[Ratio], shown: str = "") -> None:
    """Print both tables, add them to $EGRESS_BENCH_JSON under `title`, exit 1 if a promise was not kept.

    `shown`: another table of the figures.
    """
    print(f"\n{title}")
    print(shown or _summary(figures))
    said = {True: "kept", False: "NOT KEPT", None: ""}
    rows = [(r.name, f"{r.value:.3g}", r.promise, said[r.kept]) for r in ratios]
    print(table([("ratio", "value", "promise", ""), *rows]))
    sys.stdout.flush()
    path = Path(os.environ["EGRESS_BENCH_JSON"])
    whole = json.loads(path.read_text()) if path.exists() else {"cpus": os.cpu_count()}
    whole[title] = {"figures": [f.as_dict() for f in figures], "ratios": [vars(r) for r in ratios]}
    path.write_text(json.dumps(whole, indent=2) + "\n")
    if any(ratio.kept is False for ratio in ratios):
        sys.exit(1)
