resource "google_artifact_registry_repository" "images" {
  repository_id = "twinbeam"
  location      = var.region
  format        = "DOCKER"
  description   = "Twinbeam's images"
  # A tag that a compiled pipeline or a job names is the same image tomorrow.
  docker_config {
    immutable_tags = true
  }
  depends_on = [google_project_service.used]
}
