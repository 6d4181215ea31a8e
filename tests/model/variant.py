"""What the runner knows of a model and of a variant of it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Model:
    path: Path
    bounds_text: str  # a format of the bounds' names


@dataclass(frozen=True)
class Variant:
    model: Model
    bounds: dict
    switches: tuple = ()
    must_fail: bool = False  # a rule is left out, or it is a witness
    is_deep: bool = False

    @property
    def definitions(self):
        limits = [f"-D{key}={value}" for key, value in self.bounds.items()]
        return limits + [f"-D{switch}" for switch in self.switches]

    @property
    def bounds_text(self):
        return self.model.bounds_text.format(**self.bounds)
