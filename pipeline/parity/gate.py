"""The gate: all checks of one run's model on rows of that run."""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2

from modules.made_with import fingerprints, saved_graph
from modules.spec import SPLITS, Declaration
from pipeline.ingest.examples import example_files
from pipeline.ingest.files import InputFile
from pipeline.parity.budget import budget
from pipeline.parity.check import Check
from pipeline.parity.contract import Contract
from pipeline.parity.defaults import defaults
from pipeline.parity.exported import Exported
from pipeline.parity.freshness import freshness
from pipeline.parity.kept import Kept, kept
from pipeline.parity.live import live_features
from pipeline.parity.private_store import private_store
from pipeline.parity.sample import sample
from pipeline.parity.scores import scores
from pipeline.parity.seen import Seen, seen
from pipeline.parity.server import Server, serving
from pipeline.parity.transformed import transformed_features


@dataclasses.dataclass(frozen=True)
class Material:
    """What one run left behind."""

    events: Sequence[tuple[str, InputFile]]
    """The files of events, each with its source; empty without live features."""
    examples: str
    """ExampleGen's directory."""
    live_values: str
    """What its backfill wrote."""
    schema: schema_pb2.Schema
    """The curated schema."""
    transform_graph: Path
    """Transform's directory of the graph."""
    transformed: str
    """Transform's directory of examples."""
    model: Path
    """The SavedModel's directory."""
    scores: Path
    """The Evaluator's directory of kept scores."""
    score: str
    """Their column."""


def judge(declaration: Declaration, material: Material) -> tuple[Check, ...]:
    """The checks in their order, those of the live features only where there are any.

    Where the parts were made with different declarations, schemas or graphs, that is all that is said: their values
    mean different things.
    """
    contract = Contract(declaration)
    values = sorted(map(str, Path(material.live_values).glob("*.parquet")))
    contract.files([*(path for _, path in example_files(material.examples, SPLITS)), *values])
    made_with = fingerprints(material.schema, saved_graph(material.transform_graph), declaration)
    contract.transformed([path for _, path in example_files(material.transformed, SPLITS)], made_with)
    contract.model(material.model, made_with)
    if not contract.holds:
        return (contract.check(),)
    with serving(material.model, declaration.dataset) as server:
        contract.gateway(server.target)
        if not contract.holds:
            return (contract.check(),)
        return (*_compared(declaration, material, server, contract), contract.check())


def _compared(declaration: Declaration, material: Material, server: Server, contract: Contract) -> Iterator[Check]:
    rows = sample(material.examples, declaration)
    with tempfile.TemporaryDirectory(prefix="twinbeam-gate-") as directory:
        scratch = Path(directory)
        before: Kept | None = None
        near: tuple[Seen, ...] = ()
        if declaration.live:
            before = kept(declaration, rows, Path(material.live_values))
            with private_store(declaration, scratch) as store:
                yield live_features(declaration, rows, before, material.events, store.place(declaration), scratch)
                contract.store(store)
            near = seen(declaration, before, material.events)
            yield from _if_any(freshness(declaration, rows, before, near))
        model = Exported(material.model)
        yield transformed_features(declaration, rows, material.transformed, model)
        yield scores(declaration, rows, material.scores, material.score, model, server)
        yield from _if_any(defaults(declaration, rows, before, near, material.transform_graph, model, scratch))
    yield budget(declaration, material.model, server)


def _if_any(check: Check | None) -> tuple[Check, ...]:
    return () if check is None else (check,)
