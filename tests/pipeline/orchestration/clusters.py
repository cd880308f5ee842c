"""Settings of compiled pipelines that tests share."""

from pipeline.orchestration.cluster import Kubeflow, Step, Vertex

IMAGE, OTHER = "registry.example.com/twinbeam:0.1.0", "registry.example.com/twinbeam-gpu:0.1.0"
VERTEX = Vertex(
    project="my-project",
    region="europe-west4",
    service_account="twinbeam@my-project.iam.gserviceaccount.com",
    labels={"team": "taxi"},
    image=IMAGE,
    pipeline_root="gs://artifacts/pipeline",
    serving="gs://models/trips",
    step=Step(cpu=2.0, memory_gb=8.0, retries=3),
    components={"Trainer": Step(cpu=16.0, image=OTHER), "Transform": Step(cache=False), "Pusher": Step(retries=0)},
)
KUBEFLOW = Kubeflow(image=IMAGE, pipeline_root="gs://artifacts/pipeline", serving="gs://models/trips")
