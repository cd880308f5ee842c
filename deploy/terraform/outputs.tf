output "stream" {
  description = "The sources and the store, as `twinbeam stream` and the gateway take them."
  value = {
    sources      = { for name, each in google_pubsub_subscription.events : name => "pubsub://${var.project}/${each.name}" }
    dead_letters = "pubsub://${var.project}/${google_pubsub_topic.dead_letters.name}"
    store        = "bigtable://${var.project}/${google_bigtable_instance.online.name}/${google_bigtable_table.online.name}"
  }
}

output "settings" {
  description = "What the settings of Dataflow and Vertex AI name."
  value = {
    region           = var.region
    registry         = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
    temp_location    = "gs://${google_storage_bucket.artifacts.name}/dataflow/temp"
    staging_location = "gs://${google_storage_bucket.artifacts.name}/dataflow/staging"
    pipeline_root    = "gs://${google_storage_bucket.artifacts.name}/pipeline"
    serving          = "gs://${google_storage_bucket.models.name}"
    data             = "gs://${google_storage_bucket.data.name}"
    subnetwork       = "regions/${var.region}/subnetworks/${google_compute_subnetwork.workers.name}"
    service_accounts = { for name, account in local.accounts : name => account.email }
  }
}
