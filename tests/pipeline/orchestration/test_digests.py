import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.orchestration import digests
from pipeline.orchestration.digests import code_digest, content_digest, digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        (["a", ""], ["a"]),
        ([""], []),
        (["1:a"], ["a"]),
        (["a1:b"], ["a", "b"]),  # text that looks like the encoding
        (["a", "b"], ["b", "a"]),
        (["é"], ["e\u0301"]),
    ],
)
def test_different_lists_differ(one: list[str], other: list[str]) -> None:
    assert digest(one) != digest(other)


lists = st.lists(st.text("a1:é", max_size=4), max_size=4)


@given(lists, lists)
def test_lists_have_one_digest_only_if_they_are_equal(one: list[str], other: list[str]) -> None:
    assert (digest(one) == digest(other)) == (one == other)


def test_a_digest_is_the_sha256_of_lengths_and_texts() -> None:
    assert digest(["é", ""]) == hashlib.sha256("2:é0:".encode()).hexdigest()


def written(directory: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (directory / name).write_text(text)
    return [str(directory / name) for name in files]


def test_content_counts_and_names_do_not(tmp_path: Path) -> None:
    one, other = written(tmp_path, a="1", b="2"), written(tmp_path, c="1", d="2")
    assert content_digest(one) == content_digest(other)
    assert content_digest(one) != content_digest(reversed(one))
    assert content_digest(one) != content_digest(one[:1])
    assert content_digest(written(tmp_path, a="12", b="")) != content_digest(written(tmp_path, a="1", b="2"))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small copy of the repository's form."""
    for name in ("modules/spec/a.py", "pipeline/b.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "uv.lock").write_text("tfx 1.21\n")
    monkeypatch.setattr(digests, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["modules/spec/a.py", "pipeline/b.py", "uv.lock", "pipeline/new/c.py"])
def test_the_code_digest_sees_every_source_and_the_lock(checkout: Path, name: str) -> None:
    before = code_digest()
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("x = 2\n")
    assert code_digest() != before


def test_the_code_digest_sees_a_renamed_file_and_a_missing_lock(checkout: Path) -> None:
    before = code_digest()
    (checkout / "pipeline/b.py").rename(checkout / "pipeline/c.py")
    renamed = code_digest()
    (checkout / "uv.lock").unlink()
    assert len({before, renamed, code_digest()}) == 3


def test_the_code_digest_sees_the_python(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest()
    monkeypatch.setattr("sys.version", "4.0")
    assert code_digest() != before


@pytest.mark.parametrize("name", ["README.md", "tests/test_a.py", "pipeline/__pycache__/b.pyc", "build/x.py"])
def test_the_code_digest_does_not_see_what_is_not_run(checkout: Path, name: str) -> None:
    before = code_digest()
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("x = 2\n")
    assert code_digest() == before


def test_the_code_digest_does_not_depend_on_where_the_code_is(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest()
    monkeypatch.setattr(digests, "ROOT", checkout.rename(checkout.with_name("moved")))
    assert code_digest() == before
