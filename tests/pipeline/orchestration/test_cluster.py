"""Settings of compiled pipelines: what is accepted, and what is said of the rest."""

from pathlib import Path

import pytest
import yaml

from modules.spec import DeclarationError
from pipeline.orchestration.cluster import Step, read_kubeflow, read_vertex
from tests.conftest import ROOT
from tests.pipeline.orchestration.clusters import VERTEX


def written(directory: Path, **changes: object) -> Path:
    path = directory / "settings.yaml"
    path.write_text(yaml.safe_dump(VERTEX.model_dump(exclude_unset=True) | changes))
    return path


def test_those_of_the_repository_are_accepted() -> None:
    read_vertex(ROOT / "deploy" / "vertex.yaml")
    read_kubeflow(ROOT / "deploy" / "kubeflow.yaml")


def test_a_field_that_is_left_out_is_that_of_all() -> None:
    assert VERTEX.of("StatisticsGen") == Step(cpu=2.0, memory_gb=8.0, retries=3, cache=True, image=VERTEX.image)
    trainer = VERTEX.of("Trainer")
    assert (trainer.cpu, trainer.memory_gb, trainer.retries) == (16.0, 8.0, 3)
    assert [VERTEX.of(name).cache for name in ("ExampleGen", "Pusher", "Transform")] == [False] * 3
    told = VERTEX.model_copy(update={"components": {"ExampleGen": Step(cache=True)}})
    assert told.of("ExampleGen").cache is True, "for data that never changes under its name"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": "twinbeam"}, 'image: read "twinbeam"; accepted: an image with a tag other than latest'),
        ({"image": "localhost:5000/twinbeam"}, "image: read .*accepted: an image with a tag"),
        ({"image": "r/twinbeam:latest"}, "image: read .*accepted: an image with a tag other than latest"),
        ({"image": "r/twinbeam@sha256:12"}, "image: read .*accepted: an image with a tag"),
        ({"components": {"Trainer": {"image": "x"}}}, r"components.Trainer.image: read \"x\"; accepted: an image"),
        ({"components": {"Trainr": {}}}, "components.Trainr: unknown field; accepted: 'Ablation',"),
        ({"components": {"Trainer": {"cpus": 4}}}, r"components.Trainer.cpus: unknown field; accepted: cpu, memory_gb"),
        ({"step": {"cpu": 0}}, r"step.cpu: read 0; accepted: greater than 0"),
        ({"step": {"retries": 11}}, r"step.retries: read 11; accepted: less than or equal to 10"),
        ({"pipeline_root": "/tmp/x"}, r'pipeline_root: read "/tmp/x"; accepted: text that matches \^gs://'),
        ({"serving": "gs://b/x/"}, r'serving: read "gs://b/x/"; accepted: text that matches'),
        ({"region": "Frankfurt"}, r'region: read "Frankfurt"; accepted: text that matches'),
        ({"project": "My project"}, "project: read"),
        ({"service_account": "me@example.com"}, "service_account: read"),
        ({"labels": {"Team": "x"}}, "labels.Team: unknown field"),
        (
            {"machine": "n1"},
            "machine: unknown field; accepted: image, pipeline_root, serving, step, components, project",
        ),
    ],
)
def test_what_is_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=rf"settings.yaml:\d+: {message}"):
        read_vertex(written(tmp_path, **changes))


def test_an_image_by_its_digest(tmp_path: Path) -> None:
    image = f"registry:5000/twinbeam@sha256:{'0' * 64}"
    assert read_vertex(written(tmp_path, image=image)).image == image


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file. Name a file of settings with --settings FILE."),
        ("", "read no fields; accepted: a mapping that starts with image: NAME."),
        ("image: registry/twinbeam:1", "the file of settings: the field pipeline_root is missing"),
    ],
)
def test_a_file_that_is_none(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DeclarationError, match=message):
        read_vertex(path)
