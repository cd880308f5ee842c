"""How jobs run on Google Cloud Dataflow: a file of settings, checked before anything is submitted; Beam's arguments.

Beam and Dataflow let most mistakes pass until workers do not start: a misspelt option is ignored, a wrong machine type
or label fails minutes later, and without a temporary bucket one is made.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from modules.spec.field_error import FieldError
from modules.spec.frozen import Frozen
from modules.spec.yaml_file import FileKind, load_file

SETUP_FILE = Path(__file__).parents[2] / "setup.py"
"""Of the package that workers install: the code alone, for all else is in their image."""

_AREAS = "africa|asia|australia|europe|me|northamerica|southamerica|us"
_SIDES = "central|north|northeast|east|southeast|south|southwest|west|northwest"
_REGION = re.compile(f"({_AREAS})-({_SIDES})[1-9][0-9]?")
_MACHINE = re.compile(
    "[a-z][1-9][a-z]{0,2}-((standard|highmem|highcpu)-[1-9][0-9]*|custom-[1-9][0-9]*-[1-9][0-9]*(-ext)?"
    "|(highgpu|megagpu|ultragpu)-[1-9][0-9]*g)"
)
_BUCKET = re.compile(r"gs://(?P<bucket>[a-z0-9][a-z0-9._-]{1,61}[a-z0-9])(/(?P<object>[^\s\[\]*?#]*))?")
_IMAGE = re.compile(
    r"[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})"
)
_SUBNETWORK = re.compile(
    "(https://www.googleapis.com/compute/v1/projects/[a-z0-9.:-]+/)?regions/(?P<region>[a-z0-9-]+)/subnetworks/"
    "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
)
_NO_RUNNER_V2 = re.compile("disable_(portable_runner|runner_v2.*|prime_runner_v2)|enable_streaming_java_runner")
_MANY_LABELS = 64


def _region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise ValueError("a region of Google Cloud, such as europe-west1; europe-west1-b would be a zone")
    return text


def _machine(text: str) -> str:
    if not _MACHINE.fullmatch(text):
        raise ValueError("a machine type of Compute Engine, such as n2-standard-4 or n2-custom-4-8192")
    return text


def _bucket(text: str) -> str:
    """A place in a bucket, without a slash at its end, for Beam puts one before what it adds."""
    found = _BUCKET.fullmatch(text)
    if not found or ".." in found["bucket"] or found["bucket"].startswith("goog"):
        raise ValueError("gs://BUCKET/PATH with a bucket of 3 to 63 lower-case letters, digits, - _ and .")
    if not (found["object"] or "").strip("/"):
        raise ValueError(f"a path in the bucket, such as gs://{found['bucket']}/dataflow")
    return text.rstrip("/")


def _image(text: str) -> str:
    if not _IMAGE.fullmatch(text):
        raise ValueError(
            "an image with its registry and a tag or digest, such as europe-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG"
        )
    return text


def _subnetwork(text: str) -> str:
    if not _SUBNETWORK.fullmatch(text):
        raise ValueError("regions/REGION/subnetworks/NAME; of another project, as its whole URL")
    return text


def _labels(labels: dict[str, str]) -> dict[str, str]:
    if len(labels) > _MANY_LABELS:
        raise ValueError(f"at most {_MANY_LABELS} labels")
    for key, value in labels.items():
        if not (1 <= len(key) <= 63 and key[0].isalpha() and all(map(_labelled, key)) and not key.startswith("goog")):
            raise FieldError(
                "keys of at most 63 lower-case letters, digits, - and _ that start with a letter, and not with goog",
                key,
            )
        if len(value) > 63 or not all(map(_labelled, value)):
            raise FieldError("at most 63 lower-case letters, digits, - and _", key)
    return labels


def _labelled(character: str) -> bool:
    return character in "-_" or (character.isalnum() and character == character.lower())


def _experiment(text: str) -> str:
    if not re.fullmatch("[a-z][a-z0-9_]*(=[^\\s,]+)?", text):
        raise ValueError("a name, or NAME=VALUE, without a comma")
    if _NO_RUNNER_V2.fullmatch(text):
        raise ValueError("any that does not turn Runner v2 off, without which Python no longer runs")
    if text.partition("=")[0] == "shuffle_mode":
        raise ValueError("shuffle: service or shuffle: workers in its place")
    if text.startswith("streaming_mode_"):
        raise ValueError("streaming_mode: exactly_once or at_least_once in its place")
    return text


_Gs = Annotated[str, AfterValidator(_bucket)]
_Experiments = tuple[Annotated[str, AfterValidator(_experiment)], ...]
_Email = r"^([a-z]([a-z0-9-]{4,28}[a-z0-9])@[a-z0-9.-]+\.iam|[0-9]+-compute@developer)\.gserviceaccount\.com$"


class DataflowSettings(Frozen):
    """Where and on what jobs run. Names that Google Cloud gives things are checked for their form alone."""

    project: Annotated[str, StringConstraints(pattern=r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
    """The project's id, not its number."""
    region: Annotated[str, AfterValidator(_region)]
    """Where jobs run; the buckets had better be there too."""
    temp_location: _Gs
    """gs:// path for what jobs keep while they run."""
    staging_location: _Gs
    """gs:// path for what workers are given: the pipeline and the package."""
    image: Annotated[str, AfterValidator(_image)]
    """The workers' image; see deploy/dataflow."""
    service_account: Annotated[str, StringConstraints(pattern=_Email)] | None = None
    """The workers' identity; else the project's default for Compute Engine."""
    machine_type: Annotated[str, AfterValidator(_machine)] = "n2-standard-4"
    """Of each worker."""
    workers: Annotated[int, Field(ge=1)] = 1
    """How many there are at first."""
    max_workers: Annotated[int, Field(ge=1, le=4000)] = 10
    """How many there may be: the bound of what a job costs an hour."""
    autoscaling: Literal["THROUGHPUT_BASED", "NONE"] = "THROUGHPUT_BASED"
    """Whether their number follows the load."""
    disk_gb: Annotated[int, Field(ge=25, le=65536)] | None = None
    """Of each worker; else Dataflow's default."""
    network: Annotated[str, StringConstraints(pattern="^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")] | None = None
    """The workers' network; else the project's default."""
    subnetwork: Annotated[str, AfterValidator(_subnetwork)] | None = None
    """Their subnetwork: regions/REGION/subnetworks/NAME."""
    public_ips: bool = False
    """Whether workers have public addresses. Without, the subnetwork needs Private Google Access."""
    labels: Annotated[dict[str, str], AfterValidator(_labels)] = {}
    """Of each job; they appear in the bill."""
    shuffle: Literal["service", "workers"] = "service"
    """Where batch jobs group: in Dataflow Shuffle, or on the workers' disks."""
    streaming_mode: Literal["at_least_once", "exactly_once"] = "at_least_once"
    """What Dataflow promises of streaming jobs. Merging recognises what comes again, so the cheaper one is enough."""
    experiments: _Experiments = ()
    """More of Beam's --experiments."""
    service_options: _Experiments = ()
    """More of Beam's --dataflow_service_options."""
    endpoint: Annotated[str, StringConstraints(pattern="^https?://[^/]+(/.*)?$")] | None = None
    """Another Dataflow than Google's, which asks for no credentials; for tests."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.workers > self.max_workers:
            raise FieldError(f"at least workers, which is {self.workers}", "max_workers")
        if self.autoscaling == "NONE" and self.max_workers != self.workers and "max_workers" in self.model_fields_set:
            raise FieldError(f"{self.workers}, as workers, because autoscaling is NONE", "max_workers")
        if self.subnetwork and (found := _SUBNETWORK.fullmatch(self.subnetwork)) and found["region"] != self.region:
            raise FieldError(f"a subnetwork of the region {self.region}", "subnetwork")
        return self

    def beam_args(self, job_name: str) -> list[str]:
        """Beam's arguments for a batch job."""
        return [
            *self._common(job_name),
            f"--experiments=shuffle_mode={'service' if self.shuffle == 'service' else 'appliance'}",
            *(f"--dataflow_service_option={option}" for option in self.service_options),
        ]

    def streaming_args(self, job_name: str) -> list[str]:
        """Beam's arguments for a streaming job."""
        mode = ["streaming_mode_at_least_once"] if self.streaming_mode == "at_least_once" else []
        return [
            *self._common(job_name),
            "--streaming",
            "--enable_streaming_engine",
            *(f"--dataflow_service_option={option}" for option in (*mode, *self.service_options)),
        ]

    def _common(self, job_name: str) -> list[str]:
        given = {
            "job_name": job_name,
            "project": self.project,
            "region": self.region,
            "temp_location": self.temp_location,
            "staging_location": self.staging_location,
            "sdk_container_image": self.image,
            "service_account_email": self.service_account,
            "machine_type": self.machine_type,
            "num_workers": self.workers,
            "max_num_workers": self.workers if self.autoscaling == "NONE" else self.max_workers,
            "autoscaling_algorithm": self.autoscaling,
            "disk_size_gb": self.disk_gb,
            "network": self.network,
            "subnetwork": self.subnetwork,
            "setup_file": SETUP_FILE,
            "dataflow_endpoint": self.endpoint,
        }
        return [
            "--runner=DataflowRunner",
            *(f"--{name}={value}" for name, value in given.items() if value is not None),
            "--use_public_ips" if self.public_ips else "--no_use_public_ips",
            *(["--no_auth"] if self.endpoint else []),
            *(f"--label={key}={value}" for key, value in self.labels.items()),
            "--sdk_location=container",
            "--no_save_main_session",
            "--experiments=use_runner_v2",
            *(f"--experiments={experiment}" for experiment in self.experiments),
        ]


_SETTINGS = FileKind(DataflowSettings, "file of settings", "--dataflow", "--dataflow-set", "max_workers=20")


def load_settings(path: Path, overrides: Iterable[str] = ()) -> DataflowSettings:
    """Reads and checks a file of settings.

    Args:
      path: A YAML file.
      overrides: `FIELD=VALUE` each, the value in YAML; they win over the file.

    Raises:
      DeclarationError: The file cannot be read, or says something that is not accepted; with file, line and field.
    """
    return load_file(_SETTINGS, path, overrides)
