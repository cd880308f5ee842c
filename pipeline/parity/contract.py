"""Check 7: all parts say that they were made with the same live features, schema and transform graph."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from modules.spec import Declaration, DeclarationError, InputError, NotFoundError
from pipeline.gateway.model_client import ModelClient
from pipeline.gateway.refusal import Refusal
from pipeline.ingest import fingerprint
from pipeline.live.reader import FeatureReader
from pipeline.parity.check import Check
from pipeline.parity.private_store import PrivateStore
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

    def transformed(self, paths: Sequence[str], made_with: Mapping[str, str]) -> None:
        """Parquet files of transformed examples: their live features, and what they were made with.

        Args:
          paths: The files.
          made_with: What `modules.made_with.fingerprints` says of the run.
        """
        self.files(paths)
        for path in paths:
            self._made_with(path, fingerprint.said(pq.read_schema(path)), made_with)

    def model(self, directory: Path, made_with: Mapping[str, str]) -> None:
        """The exported model, which is not loaded: its inputs, its live features, and what it was made with.

        Args:
          directory: The SavedModel.
          made_with: What `modules.made_with.fingerprints` says of the run.
        """
        if self.signatures(directory):
            self._made_with(directory, fingerprints_of_model(directory), made_with)

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

    def store(self, store: PrivateStore) -> None:
        """What a gateway asks of the store: the rows of this declaration's namespace, and how far they are."""
        self._held += 1
        with FeatureReader(self._declaration, store.place(self._declaration).open()) as reader:
            unknown = [source for source, mark in reader.watermarks().items() if mark <= EARLIEST]
        if unknown:
            self._refusals.append(
                f"The store that the stream has filled knows nothing of {', '.join(unknown)} under the declaration's "
                f"fingerprint {self._declaration.features_fingerprint[:12]}."
            )

    def _made_with(self, whose: str | Path, said: Mapping[str, str], made_with: Mapping[str, str]) -> None:
        for name, right in made_with.items():
            self._held += 1
            if (found := said.get(name, "")) != right:
                self._refusals.append(
                    f"{whose}: its {name} is {found[:12] or '(none)'}, and the run's is {right[:12]}. "
                    "Run again with --no-cache."
                )

    def check(self) -> Check:
        """What was found."""
        words = (
            f"{self._held} fingerprints are the declaration's and the run's."
            if self.holds
            else " ".join(self._refusals)
        )
        return Check(NAME, self.holds, self._held, len(self._refusals), words)
