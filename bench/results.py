"""Results, as they are kept in a file of JSON."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.load import Figures


@dataclass
class Row:
    """What one contender has achieved: its samples, in the order of the rounds, or why none.

    A round in which it failed has None, so that samples of one round can be compared.
    """

    name: str
    version: str = ""
    samples: list[Figures | None] = field(default_factory=list)
    failure: str = ""

    def median(self, key: str) -> float | None:
        """The median of a metric; None without any."""
        values = [sample[key] for sample in self.samples if sample and key in sample]
        return statistics.median(values) if values else None

    def ratios(self, other: Row, key: str, other_key: str = "") -> list[float]:
        """The ratios, round by round, of this row's metric to that, or another, of ``other``."""
        other_key = other_key or key
        return [
            mine[key] / theirs[other_key]
            for mine, theirs in zip(self.samples, other.samples, strict=False)
            if mine and theirs and key in mine and theirs.get(other_key)
        ]

    @property
    def keys(self) -> list[str]:
        """The metrics it has, in their order."""
        return list(dict.fromkeys(key for sample in self.samples if sample for key in sample))


@dataclass
class Result:
    """One workload; what its attributes mean, `bench.workloads.Workload` says."""

    name: str
    group: str
    title: str
    remark: str
    compared: list[str]
    options: bool = False
    rows: list[Row] = field(default_factory=list)


@dataclass
class Results:
    """A run."""

    machine: dict[str, str]
    rounds: int
    seconds: int
    results: list[Result] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it to ``path``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` has written."""
        data = json.loads(path.read_text("utf-8"))
        results = [
            Result(**{**each, "rows": [Row(**row) for row in each["rows"]]})
            for each in data.pop("results")
        ]
        return cls(**data, results=results)
