"""Check 7: all parts say that they were made with the same live features, schema and transform graph."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from tensorflow_metadata.proto.v0 import schema_pb2

from modules.made_with import fingerprints
from modules.spec import Declaration, DeclarationError, InputError, NotFoundError
from pipeline.gateway.model_client import ModelClient
from pipeline.gateway.refusal import Refusal
from pipeline.ingest import fingerprint
from pipeline.live.reader import FeatureReader
from pipeline.parity.check import Check
from pipeline.serving.fingerprint import check_model
from pipeline.serving.fingerprint import fingerprints as fingerprints_of_model
from pipeline.sources.source import EARLIEST

NAME = "contract"
_TIMEOUT_S = 600.0


class Contract:
    """Asks one part after the other, as soon as it is there."""

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration
        self._held = 0
        self._refusals: list[str] = []

    @property
    def holds(self) -> bool:
        """Whether no part has refused so far."""
        return not self._refusals

    def files(self, paths: Sequence[str]) -> None:
        """Parquet files: examples, and what the backfill wrote."""
        for path in paths:
            self._held += 1
            try:
                fingerprint.check(path, pq.read_schema(path), self._declaration)
            except InputError as error:
                self._refusals.append(str(error))

    def signatures(self, directory: Path) -> bool:
        """The exported model, which is not loaded: its inputs and its live features; whether they are right."""
        self._held += 1
        try:
            check_model(directory, self._declaration)
        except (DeclarationError, NotFoundError) as error:
            self._refusals.append(str(error))
            return False
        return True

    def model(self, directory: Path, schema: schema_pb2.Schema, transform_graph: Path) -> None:
        """The exported model, which is not loaded: its inputs, its live features, and what it was made with.

        Args:
          directory: The SavedModel.
          schema: The run's curated schema.
          transform_graph: The run's Transform's directory.
        """
        if not self.signatures(directory):
            return
        said = fingerprints_of_model(directory)
        for name, right in fingerprints(schema, transform_graph, self._declaration).items():
            self._held += 1
            if (found := said.get(name, "")) != right:
                self._refusals.append(
                    f"{directory}: the model has the {name} {found[:12] or '(none)'}, and the run's is {right[:12]}. "
                    "Run again with --no-cache."
                )

    def gateway(self, target: str, name: str | None = None) -> None:
        """What a gateway asks at its start of the model server at host:port, of a model that is else the dataset's."""
        self._held += 1
        client = ModelClient(self._declaration, target, name or self._declaration.dataset, _TIMEOUT_S)
        try:
            client.check()
        except Refusal as refusal:
            self._refusals.append(refusal.message)
        finally:
            client.close()

    def store(self, url: str) -> None:
        """What a gateway asks of the store: the rows of this declaration's namespace, and how far they are."""
        self._held += 1
        with FeatureReader.open(self._declaration, url) as reader:
            unknown = [source for source, mark in reader.watermarks().items() if mark <= EARLIEST]
        if unknown:
            self._refusals.append(
                f"The store that the stream has filled knows nothing of {', '.join(unknown)} under the declaration's "
                f"fingerprint {self._declaration.features_fingerprint[:12]}."
            )

    def check(self) -> Check:
        """What was found."""
        words = (
            f"{self._held} fingerprints are the declaration's and the run's."
            if self.holds
            else " ".join(self._refusals)
        )
        return Check(NAME, self.holds, self._held, len(self._refusals), words)
