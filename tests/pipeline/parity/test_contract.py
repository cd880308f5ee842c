"""Parts that were made with different declarations, schemas or transform graphs."""

import dataclasses
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from modules.spec import Declaration, load_declaration
from pipeline.parity.contract import Contract
from pipeline.parity.gate import judge
from pipeline.parity.private_store import PrivateStore
from pipeline.parity.server import Server
from pipeline.stores.store import Register
from tests.artifacts import taxi
from tests.conftest import ROOT
from tests.pipeline.parity.conftest import Scene


def test_the_model_was_made_with_another_schema(scene: Scene) -> None:
    schema = type(scene.material.schema)()
    schema.CopyFrom(scene.material.schema)
    next(feature for feature in schema.feature if feature.name == "fare").presence.min_fraction = 0.5
    [check] = judge(scene.declaration, dataclasses.replace(scene.material, schema=schema))
    assert (check.name, check.passed, check.differing) == ("contract", False, 4)  # the model, and three splits
    assert check.sentence.count("its schema_fingerprint is ") == 4


def test_the_model_was_made_with_another_transform_graph(scene: Scene, tmp_path: Path) -> None:
    graph = Path(shutil.copytree(scene.material.transform_graph, tmp_path / "graph"))
    vocabulary = graph / "transform_fn" / "assets" / "company_vocabulary"
    vocabulary.write_text("\n".join(reversed(vocabulary.read_text().splitlines())) + "\n")
    [check] = judge(scene.declaration, dataclasses.replace(scene.material, transform_graph=graph))
    assert (check.name, check.passed, check.differing) == ("contract", False, 4)
    assert check.sentence.count("its transform_fingerprint is ") == 4
    assert "Run again with --no-cache." in check.sentence


def test_the_model_was_trained_on_what_another_graph_made(scene: Scene, tmp_path: Path) -> None:
    examples = shutil.copytree(scene.material.transformed, tmp_path / "transformed")
    [path] = (examples / "Split-train").glob("*.parquet")
    table = pq.read_table(path)
    stamps = table.schema.metadata | {b"twinbeam.transform_fingerprint": b"0" * 64}
    pq.write_table(table.replace_schema_metadata(stamps), path)
    [check] = judge(scene.declaration, dataclasses.replace(scene.material, transformed=str(examples)))
    assert (check.name, check.passed, check.differing) == ("contract", False, 1)
    assert f"{path}: its transform_fingerprint is 000000000000, and the run's is " in check.sentence


def test_the_gateway_refuses_what_is_served(server: Server) -> None:
    contract = Contract(taxi("live.features.area_trips_6h.window=5h"))
    contract.gateway(server.target)
    check = contract.check()
    assert (check.passed, check.differing) == (False, 1)
    assert "was trained on live features of the fingerprint" in check.sentence


def test_the_stream_fills_the_rows_of_another_declaration(scene: Scene, tmp_path: Path) -> None:
    store = PrivateStore(f"sqlite://{tmp_path}/rows.db", "gate")
    with store.place(scene.declaration).open() as opened:
        opened.advance([Register(source, "files", 1_400_000_000_000_000, 0) for source in ("trips", "payments")])
    for declaration, words in (
        (scene.declaration, "1 fingerprints are the declaration's and the run's."),
        (
            taxi("live.features.area_trips_6h.window=5h"),
            "The store that the stream has filled knows nothing of trips, ",
        ),
    ):
        contract = Contract(declaration)
        contract.store(store)
        assert contract.check().sentence.startswith(words)


def _renamed(directory: Path) -> Declaration:
    text = (ROOT / "schema" / "taxi" / "features.yaml").read_text()
    path = directory / "features.yaml"
    path.write_text(text.replace("trip_miles:", "trip_distance:"))
    return load_declaration(path, [])


def test_a_column_is_renamed(scene: Scene, tmp_path: Path) -> None:
    [check] = judge(_renamed(tmp_path), scene.material)
    assert (check.name, check.passed, check.differing) == (
        "contract",
        False,
        11,
    )  # a source without an id has all columns
    assert "for trip_distance the model takes nothing, and the declaration has float32" in check.sentence


def test_all_of_another_declaration(scene: Scene) -> None:
    [check] = judge(taxi("live.features.area_trips_6h.window=5h"), scene.material)
    assert (check.name, check.passed) == ("contract", False)
    assert check.differing == 8  # three splits before Transform and three after it, the backfill, the model
    assert "its live features have the fingerprint" in check.sentence
    assert "the model was trained on live features of the fingerprint" in check.sentence
