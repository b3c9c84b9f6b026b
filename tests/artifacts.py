"""What a component is given of an artifact, without KFP."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Artifact:
    path: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def log_metric(self, name: str, value: float) -> None:
        self.metadata[name] = value
