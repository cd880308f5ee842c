"""Versions in a bucket, on a server that answers as Google Cloud Storage does."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Bucket  # type: ignore[import-untyped]

from modules.spec import OutputError
from pipeline.serving import bucket
from tests.pipeline.serving.buckets import BUCKET
from tests.pipeline.serving.buckets import bucket as fresh_bucket

APART = "provenance.json"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with fresh_bucket(tmp_path_factory.mktemp("bucket")) as found:
        yield found


_paths = (f"path/{number}" for number in itertools.count())


@pytest.fixture
def path(served: Bucket) -> str:
    """A path of the bucket where nothing is."""
    return next(_paths)


def push(tmp_path: Path, path: str, content: str, run: str) -> int:
    """Pushes a model of one text."""
    model = tmp_path / content
    (model / "assets.extra").mkdir(parents=True, exist_ok=True)
    (model / "saved_model.pb").write_text(content)
    (model / "variables").mkdir(exist_ok=True)
    (model / "variables" / "variables.index").write_text(f"variables of {content}")

    def complete(copy: Path) -> None:
        (copy / "assets.extra" / APART).write_text(run)

    return bucket.push(model, f"gs://{BUCKET}/{path}", complete, APART)


def objects(served: Bucket, path: str) -> dict[str, str]:
    found = served.list_blobs(prefix=f"{path}/")
    return {blob.name.removeprefix(f"{path}/"): blob.download_as_text() for blob in found}


def test_versions_follow_each_other_with_all_their_files(served: Bucket, path: str, tmp_path: Path) -> None:
    assert [push(tmp_path, path, content, content) for content in "ab"] == [1, 2]
    assert objects(served, path) == {
        f"{version}/{name}": text
        for version, content in ((1, "a"), (2, "b"))
        for name, text in {
            "saved_model.pb": content,
            "variables/variables.index": f"variables of {content}",
            "assets.extra/provenance.json": content,
        }.items()
    }


def test_a_model_that_the_newest_version_holds_is_not_pushed_again(served: Bucket, path: str, tmp_path: Path) -> None:
    versions = [push(tmp_path, path, content, run) for content, run in (("a", "1"), ("a", "2"), ("b", "3"), ("a", "4"))]
    assert versions == [1, 1, 2, 3]
    assert objects(served, path)["1/assets.extra/provenance.json"] == "1"


def test_the_file_that_makes_a_version_is_written_last(served: Bucket, path: str, tmp_path: Path) -> None:
    push(tmp_path, path, "a", "1")
    written = {blob.name: blob.updated for blob in served.list_blobs(prefix=f"{path}/")}
    assert max(written, key=lambda name: written[name]) == f"{path}/1/saved_model.pb"


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({}, 1),
        ({"3/saved_model.pb": "a"}, 4),
        ({"1/saved_model.pb": "a", "2/variables/variables.index": "cut off"}, 3),  # a dead push, whose number is taken
        ({"10/saved_model.pb": "a", "9/saved_model.pb": "b"}, 11),  # numbers, not text
        ({"x/saved_model.pb": "a", "007/saved_model.pb": "a"}, 1),  # no versions
    ],
)
def test_the_next_version(there: dict[str, str], expected: int, served: Bucket, path: str, tmp_path: Path) -> None:
    for name, content in there.items():
        served.blob(f"{path}/{name}").upload_from_string(content)
    assert push(tmp_path, path, "new", "1") == expected


def test_a_version_that_another_push_has_begun_meanwhile_is_left_to_it(
    served: Bucket, path: str, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "saved_model.pb").write_text("mine")
    (model / "a").write_text("mine")
    place = bucket._Place(served, path)
    served.blob(f"{path}/1/a").upload_from_string("theirs")
    assert place._claim(1, model, "a") == 2
    assert objects(served, path) == {"1/a": "theirs", "2/a": "mine"}


def test_no_such_bucket(served: Bucket, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_text("a")
    with pytest.raises(OutputError, match=r"^gs://nowhere/path: the model cannot be pushed: .*404.* The bucket must"):
        bucket.push(tmp_path, "gs://nowhere/path", lambda _: None, APART)
