"""A loaded version as the inference calls see it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.model_server.tensors import Array, to_array

DEFAULT_SIGNATURE = "serving_default"


class Model(Protocol):
    """What runs: a SavedModel, a TensorFlow Lite model, or one of them behind a batcher."""

    @property
    def signatures(self) -> dict[str, Any]:
        """SignatureDefs by name."""

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        """The fetched tensors, in order."""

    def close(self) -> None:
        """Lets go of its memory."""


@dataclasses.dataclass(frozen=True)
class Servable:
    """A version of a model, and how the server's flags have it answer."""

    name: str
    version: int
    model: Model
    check_method_names: bool = False
    tensor_content: bool = False
    defaults: dict[str, dict[str, Array]] = dataclasses.field(init=False)
    """Inputs that a request may leave out, by signature and alias."""

    def __post_init__(self) -> None:
        found = {
            name: {alias: to_array(proto, alias) for alias, proto in signature.defaults.items()}
            for name, signature in self.model.signatures.items()
        }
        object.__setattr__(self, "defaults", found)

    def signature(self, spec: Any) -> tuple[str, Any]:
        """Name and SignatureDef that a ModelSpec asks for, to classify or regress by.

        Raises:
          InvalidArgument: There is none.
        """
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name not in self.model.signatures:
            raise InvalidArgument(f"No signature was found with the name: {name}")
        return name, self.model.signatures[name]

    def fill_spec(self, spec: Any, signature_name: str) -> None:
        """Writes into a reply's ModelSpec what answered."""
        spec.name = self.name
        spec.version.value = self.version
        spec.signature_name = signature_name or DEFAULT_SIGNATURE
