"""The streaming job as a Flex Template of Dataflow. Its parameters are options of `twinbeam stream`, by their names.

In the launcher, deploy/dataflow/launch.py is started with these parameters and Beam's arguments, which come from the
spec. `python -m pipeline.cli.stream_template` writes deploy/dataflow/metadata.json.
"""

import argparse
import dataclasses
import inspect
import json
import shlex
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.cli import live
from pipeline.cli.options import load
from pipeline.engines.dataflow import SETUP_FILE, DataflowSettings

METADATA_FILE = Path(__file__).parents[2] / "deploy" / "dataflow" / "metadata.json"
_OPTIONS = ("features", "overrides", "sources", "store", "dead_letters", "batch_events", "shards")
_REQUIRED = {
    "source": r"([a-z0-9_]+=)?pubsub://\S+( +[a-z0-9_]+=pubsub://\S+)*",
    "store": "(redis|rediss|bigtable)://.+",
    "dead_letters": "(pubsub|kafka)://.+",
}
"""What has no default that workers could reach, and what is accepted."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """An option of `twinbeam stream` that says what the job does."""

    name: str
    """In Dataflow's spelling, which has no dashes."""
    help: str
    metavar: str
    number: bool
    several: bool
    """Whether it is a list, whose entries are set apart by blanks."""
    default: str


def parameters() -> list[Parameter]:
    """Those options, in the order of the command's help."""
    hints = typing.get_type_hints(live.stream_command, include_extras=True)
    defaults = inspect.signature(live.stream_command).parameters
    found = []
    for name in defaults:
        if name in _OPTIONS:
            kind, option = typing.get_args(hints[name])
            spelled = option.default if isinstance(option.default, str) else f"--{name}"  # typer puts it there
            spelling = spelled.removeprefix("--").replace("-", "_")
            several, default = typing.get_origin(kind) is list, defaults[name].default
            found.append(
                Parameter(
                    name=spelling,
                    help=option.help + (" Several are set apart by blanks." if several else ""),
                    metavar=option.metavar or "NUMBER",
                    number=kind is int,
                    several=several,
                    default="" if several else str(default),
                )
            )
    return found


def metadata() -> dict[str, Any]:
    """What the template's users are told and held to."""
    return {
        "name": "Twinbeam: live features from Pub/Sub",
        "description": "Keeps the online store fresh from subscriptions of Pub/Sub.",
        "streaming": True,
        "supportsAtLeastOnce": True,
        "supportsExactlyOnce": True,
        "defaultStreamingMode": "AT_LEAST_ONCE",
        "parameters": [_parameter(parameter) for parameter in parameters()],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    required = parameter.name in _REQUIRED
    return {
        "name": parameter.name,
        "label": f"{parameter.name} {parameter.metavar}",
        "helpText": parameter.help,
        "isOptional": not required,
        "paramType": "NUMBER" if parameter.number else "TEXT",
        "regexes": [_REQUIRED.get(parameter.name, "[1-9][0-9]*" if parameter.number else ".+")],
        **({} if required or parameter.several else {"defaultValue": parameter.default}),
    }


def spec(settings: DataflowSettings) -> str:
    """The template: the image that launches it, which is the workers' too, its parameters, and what jobs run on.

    `gcloud dataflow flex-template build` would leave out what the metadata say of streaming.
    """
    environment = {
        "numWorkers": settings.workers,
        "maxWorkers": settings.workers if settings.autoscaling == "NONE" else settings.max_workers,
        "autoscalingAlgorithm": f"AUTOSCALING_ALGORITHM_{_AUTOSCALING[settings.autoscaling]}",
        "machineType": settings.machine_type,
        "diskSizeGb": settings.disk_gb,
        "serviceAccountEmail": settings.service_account,
        "tempLocation": settings.temp_location,
        "stagingLocation": settings.staging_location,
        "sdkContainerImage": settings.image,
        "network": settings.network,
        "subnetwork": settings.subnetwork,
        "ipConfiguration": "WORKER_IP_PUBLIC" if settings.public_ips else "WORKER_IP_PRIVATE",
        "additionalUserLabels": settings.labels or None,
        "additionalExperiments": list(settings.experiments) or None,
        "enableStreamingEngine": True,
        "streamingMode": f"STREAMING_MODE_{settings.streaming_mode.upper()}",
    }
    given = {key: value for key, value in environment.items() if value is not None}
    whole = {
        "image": settings.image,
        "sdkInfo": {"language": "PYTHON"},
        "metadata": metadata(),
        "defaultEnvironment": given,
    }
    return json.dumps(whole, indent=2) + "\n"


_AUTOSCALING = {"THROUGHPUT_BASED": "BASIC", "NONE": "NONE"}


def launch(arguments: Sequence[str]) -> None:
    """Submits the job, as Dataflow's launcher asks for it.

    Args:
      arguments: `--NAME=VALUE` of the template's parameters; all others are Beam's.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for parameter in parameters():
        parser.add_argument(f"--{parameter.name}", default=parameter.default)
    own, beam_args = parser.parse_known_args(arguments)
    from pipeline.jobs.stream import sources_of
    from pipeline.jobs.stream_on_dataflow import submit
    from pipeline.live.place import Place

    declaration = load(Path(own.features), shlex.split(own.set))
    sources = sources_of(declaration, live.one_each(declaration, own.source.split(), "--source"))
    place = Place(own.store, declaration.features_fingerprint)
    fixed = [
        "--runner=DataflowRunner", "--streaming", "--no_save_main_session", "--sdk_location=container",
        f"--setup_file={SETUP_FILE}",
    ]  # fmt: skip
    submit(declaration, sources, place, own.dead_letters, int(own.shards), int(own.batch_events), [*beam_args, *fixed])


if __name__ == "__main__":
    METADATA_FILE.write_text(json.dumps(metadata(), indent=2) + "\n", encoding="utf-8")
