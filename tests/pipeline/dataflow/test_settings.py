"""Settings of jobs on Dataflow: what is refused before anything is submitted, and Beam's arguments."""

from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from modules.spec import DeclarationError
from pipeline.engines.dataflow import SETUP_FILE, load_settings

GOOD = {
    "project": "my-project",
    "region": "europe-west1",
    "temp_location": "gs://my-temp/dataflow",
    "staging_location": "gs://my-staging/dataflow",
    "image": "europe-docker.pkg.dev/my-project/twinbeam/stream:0.1.0",
}


def written(directory: Path, **fields: str) -> Path:
    """A file of settings; a field of `""` is left out."""
    path = directory / "dataflow.yaml"
    path.write_text("".join(f"{name}: {value}\n" for name, value in (GOOD | fields).items() if value))
    return path


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("project", "", "the field project is missing"),
        ("project", '"1234567"', "project: read"),  # its number
        ("region", "europe-west1-b", "europe-west1-b would be a zone"),
        ("region", "eu-west1", "accepted: a region of Google Cloud"),
        ("temp_location", "my-temp/dataflow", "temp_location: read .* accepted: gs://BUCKET/PATH"),
        ("temp_location", "gs://My_Temp/dataflow", "accepted: gs://BUCKET/PATH"),
        ("temp_location", "gs://google-x/y", "accepted: gs://BUCKET/PATH"),
        ("staging_location", "gs://my-staging", "accepted: a path in the bucket, such as gs://my-staging/dataflow"),
        ("staging_location", "", "the field staging_location is missing"),  # Beam would take another bucket
        ("image", "europe-docker.pkg.dev/my-project/twinbeam/stream", "an image with its registry and a tag"),
        ("image", "stream:0.1.0", "an image with its registry and a tag"),
        ("service_account", "worker", "service_account: read"),
        ("machine_type", "n2-standard", "accepted: a machine type of Compute Engine"),
        ("machine_type", "n2-standart-4", "accepted: a machine type of Compute Engine"),
        ("workers", "0", "workers: read 0; accepted: greater than or equal to 1"),
        ("workers", "11", "max_workers: read nothing; accepted: at least workers, which is 11"),
        ("autoscaling", "throughput", "accepted: 'THROUGHPUT_BASED' or 'NONE'"),
        ("autoscaling", "NONE\nmax_workers: 5", "max_workers: read 5; accepted: 1, as workers, because autoscaling is"),
        ("disk_gb", "10", "disk_gb: read 10"),
        ("subnetwork", "default", "accepted: regions/REGION/subnetworks/NAME"),
        ("subnetwork", "regions/us-east1/subnetworks/x", "accepted: a subnetwork of the region europe-west1"),
        ("labels", "{Team: data}", "labels.Team: read .* accepted: keys of at most 63 lower-case letters"),
        ("labels", "{team: Data}", "labels.team: read .* accepted: at most 63 lower-case letters"),
        ("labels", "{goog-x: data}", "labels.goog-x: .* not with goog"),
        ("labels", "{" + ", ".join(f"k{n}: v" for n in range(65)) + "}", "accepted: at most 64 labels"),
        ("shuffle", "appliance", "accepted: 'service' or 'workers'"),
        ("experiments", "[disable_runner_v2]", "experiments.0: .* does not turn Runner v2 off"),
        ("experiments", "[shuffle_mode=service]", "accepted: shuffle: service or shuffle: workers in its place"),
        ("experiments", '["a,b"]', "without a comma"),
        ("service_options", "[streaming_mode_at_least_once]", "accepted: streaming_mode: exactly_once or"),
        ("max_num_workers", "5", "max_num_workers: unknown field; accepted: .*max_workers"),
        ("public_ips", "yes", "public_ips: read"),
    ],
)
def test_what_is_refused_is_told_with_its_line(tmp_path: Path, field: str, value: str, message: str) -> None:
    path = written(tmp_path, **{field: value})
    with pytest.raises(DeclarationError, match=rf"^{path}:\d+: .*{message}"):
        load_settings(path)


def test_a_file_that_is_not_there_and_an_override(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"nope\.yaml: no such file\. Name a file of settings with --dataflow"):
        load_settings(tmp_path / "nope.yaml")
    assert load_settings(written(tmp_path), ["max_workers=20"]).max_workers == 20
    with pytest.raises(DeclarationError, match=r"^--dataflow-set: max_workers: read 0; accepted"):
        load_settings(written(tmp_path), ["max_workers=0"])


def test_beams_arguments_are_all_known_to_beam(tmp_path: Path) -> None:
    everything = written(
        tmp_path,
        service_account="worker@my-project.iam.gserviceaccount.com",
        machine_type="c3-highmem-8",
        workers="2",
        max_workers="40",
        disk_gb="50",
        network="net",
        subnetwork="regions/europe-west1/subnetworks/sub",
        labels="{team: data, cost-centre: '17'}",
        shuffle="workers",
        streaming_mode="exactly_once",
        experiments="[enable_profiler=on]",
        service_options="[enable_prime]",
    )
    settings = load_settings(everything)
    batch, stream = settings.beam_args("a-job"), settings.streaming_args("a-job")
    for arguments in (batch, stream):
        options = PipelineOptions(arguments)
        given = options.get_all_options(drop_default=True)
        assert given["labels"] == ["team=data", "cost-centre=17"]
        assert "use_runner_v2" in given["experiments"]
        assert "enable_profiler=on" in given["experiments"]
        assert given["job_name"] == "a-job"
        assert given["sdk_container_image"] == GOOD["image"]
        assert given["use_public_ips"] is False
        assert (given["num_workers"], given["max_num_workers"], given["disk_size_gb"]) == (2, 40, 50)
        assert given["setup_file"] == str(SETUP_FILE)
        assert given == options.get_all_options(drop_default=True, retain_unknown_options=True)
    assert "--experiments=shuffle_mode=appliance" in batch
    assert "--streaming" in stream
    assert "--dataflow_service_option=enable_prime" in stream
    assert "--dataflow_service_option=streaming_mode_at_least_once" not in stream
    assert "--dataflow_service_option=streaming_mode_at_least_once" in load_settings(written(tmp_path)).streaming_args(
        "a"
    )


def test_without_autoscaling_there_are_as_many_workers_as_at_first(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, autoscaling="NONE", workers="3"))
    assert {"--num_workers=3", "--max_num_workers=3"} <= set(settings.beam_args("a"))
