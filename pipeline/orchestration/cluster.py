"""Where a compiled pipeline runs: images, buckets, and what each component gets of the machines."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from modules.spec.frozen import Frozen
from modules.spec.yaml_file import FileKind, load_file

Component = Literal[
    "Ablation",
    "CuratedSchema",
    "Evaluator",
    "ExampleGen",
    "ExampleValidator",
    "ParityGate",
    "Pusher",
    "SchemaGen",
    "StatisticsGen",
    "Trainer",
    "Transform",
    "Tuner",
]
"""Each runs in a container of its own; the Baseline is a look-up of the orchestrator."""

Bucket = Annotated[str, Field(pattern=r"^gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*$")]
_FIXED = "an image with a tag other than latest, or with a digest: REGISTRY/NAME:0.1.0"
_CALLED = ("file of settings", "--settings", "", "")
_LOOKS_AGAIN = frozenset({"ExampleGen", "Pusher"})
"""What a cache cannot know: which files there are now, and what is in the serving bucket."""


class Accelerator(Frozen):
    """Of a container, for training."""

    type: Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9._/-]*$")]
    """As the cluster names it: NVIDIA_TESLA_T4 on Vertex AI, nvidia.com/gpu on Kubeflow."""
    count: Annotated[int, Field(ge=1, le=16)] = 1
    """How many."""


class Step(Frozen):
    """What one component gets."""

    cpu: Annotated[float, Field(gt=0, le=96)] = 4.0
    """Cores at most."""
    memory_gb: Annotated[float, Field(gt=0, le=1400)] = 16.0
    """Memory at most, in units of 10^9 bytes."""
    accelerator: Accelerator | None = None
    """For the Trainer, the Tuner or the Ablation."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How often it is tried again after it failed."""
    backoff_s: Annotated[int, Field(ge=0, le=3600)] = 60
    """Seconds before the first retry; before each further one twice as many, an hour at most."""
    cache: bool | None = None
    """Whether unchanged inputs bring back the last outputs; left out: yes, but for ExampleGen and Pusher, which look at
    what no cache knows."""
    image: str | None = None
    """Its image, if not the one of all."""

    @field_validator("image")
    @classmethod
    def _fixed_image(cls, image: str | None) -> str | None:
        return image and fixed(image)


class Cluster(Frozen):
    """What Vertex AI and Kubeflow both need to know."""

    image: str
    """The image of all components, made by deploy/Dockerfile."""
    pipeline_root: Bucket
    """Where components leave their outputs."""
    serving: Bucket
    """Where the model's versions are pushed."""
    step: Step = Step()
    """What every component gets."""
    components: dict[Component, Step] = {}
    """What single components get instead; a field that is left out is that of `step`."""

    @field_validator("image")
    @classmethod
    def _fixed_image(cls, image: str) -> str:
        return fixed(image)

    def of(self, component: str) -> Step:
        """What a component gets."""
        own = next((step for name, step in self.components.items() if name == component), Step())
        step = self.step.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})
        cache = component not in _LOOKS_AGAIN if step.cache is None else step.cache
        return step.model_copy(update={"cache": cache, "image": step.image or self.image})


class Kubeflow(Cluster):
    """Kubeflow Pipelines on a cluster of one's own."""


class Vertex(Cluster):
    """Vertex AI Pipelines."""

    project: Annotated[str, Field(pattern="^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
    """Google Cloud's id of the project."""
    region: Annotated[str, Field(pattern="^[a-z]+-[a-z]+[0-9]+$")]
    """Such as europe-west4."""
    service_account: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9.-]+\.gserviceaccount\.com$")]
    """As whom the containers run."""
    labels: dict[
        Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,62}$")], Annotated[str, Field(pattern="^[a-z0-9_-]{0,63}$")]
    ] = {}
    """On the run, for the bill."""

    def address(self) -> str:
        """Where a compiled pipeline is sent to by POST."""
        return (
            f"https://{self.region}-aiplatform.googleapis.com/v1/projects/{self.project}/locations/{self.region}/"
            "pipelineJobs"
        )


def read_vertex(path: Path) -> Vertex:
    """Reads and checks a file of settings.

    Raises:
      DeclarationError: It cannot be read, or says something that is not accepted; with file, line and field.
    """
    return load_file(FileKind(Vertex, *_CALLED), path)


def read_kubeflow(path: Path) -> Kubeflow:
    """As `read_vertex`."""
    return load_file(FileKind(Kubeflow, *_CALLED), path)


def fixed(image: str) -> str:
    """An image that is the same tomorrow.

    Raises:
      ValueError: It has neither a tag nor a digest, or the tag latest.
    """
    _, at, digest = image.partition("@sha256:")
    _, colon, tag = image.rpartition("/")[2].partition(":")
    if (at and len(digest) == 64) or (not at and colon and tag not in ("", "latest")):
        return image
    raise ValueError(_FIXED)
