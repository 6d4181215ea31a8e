"""What the runner knows of a model and of a variant of it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Model:
    path: Path
    bounds_text: str  # a format of the bounds' names
    optimisation: str  # of its quick searches: a small one takes less time than a good compilation
    storage: tuple = ()  # how states are kept


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
    def search(self):
        """What the compiler is told about the search."""
        if self.must_fail:
            return [*self.model.storage, "-O0", "-DBFS"]
        return [*self.model.storage, "-O1" if self.is_deep else self.model.optimisation]

    @property
    def bounds_text(self):
        return self.model.bounds_text.format(**self.bounds)
