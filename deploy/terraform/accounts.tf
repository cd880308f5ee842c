# Who may do what, and no more: roles are given on single resources where Google Cloud has such roles.
resource "google_service_account" "stream" {
  account_id   = "twinbeam-stream"
  display_name = "Twinbeam: the streaming job's workers"
}

resource "google_service_account" "training" {
  account_id   = "twinbeam-training"
  display_name = "Twinbeam: pipelines and batch jobs"
}

resource "google_service_account" "serving" {
  account_id   = "twinbeam-serving"
  display_name = "Twinbeam: gateway and model server"
}

locals {
  workers  = { stream = google_service_account.stream, training = google_service_account.training }
  accounts = merge(local.workers, { serving = google_service_account.serving })
}

# Workers.
resource "google_project_iam_member" "worker" {
  for_each = local.workers
  project  = var.project
  role     = "roles/dataflow.worker"
  member   = each.value.member
}

resource "google_storage_bucket_iam_member" "worker_files" {
  for_each = local.workers
  bucket   = google_storage_bucket.artifacts.name
  role     = "roles/storage.objectUser"
  member   = each.value.member
}

resource "google_artifact_registry_repository_iam_member" "pulls" {
  for_each   = local.accounts
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = each.value.member
}

# The stream: takes events, merges them into rows, says which do not count.
resource "google_pubsub_subscription_iam_member" "takes" {
  for_each     = google_pubsub_subscription.events
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.stream.member
}

resource "google_pubsub_subscription_iam_member" "looks" {
  for_each     = google_pubsub_subscription.events
  subscription = each.value.name
  role         = "roles/pubsub.viewer"
  member       = google_service_account.stream.member
}

resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = google_pubsub_topic.dead_letters.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.stream.member
}

resource "google_bigtable_table_iam_member" "merges" {
  instance_name = google_bigtable_instance.online.name
  table         = google_bigtable_table.online.name
  role          = "roles/bigtable.user"
  member        = google_service_account.stream.member
}

# Training: reads the data, pushes models, runs pipelines.
resource "google_storage_bucket_iam_member" "training_reads" {
  bucket = google_storage_bucket.data.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.training.member
}

# It creates objects, and can neither overwrite nor delete them.
resource "google_storage_bucket_iam_member" "training_pushes" {
  for_each = toset(["roles/storage.objectCreator", "roles/storage.objectViewer"])
  bucket   = google_storage_bucket.models.name
  role     = each.value
  member   = google_service_account.training.member
}

resource "google_project_iam_member" "training_pipelines" {
  project = var.project
  role    = "roles/aiplatform.user"
  member  = google_service_account.training.member
}

# Serving: reads models and rows.
resource "google_storage_bucket_iam_member" "serving_models" {
  bucket = google_storage_bucket.models.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.serving.member
}

resource "google_bigtable_table_iam_member" "serving_rows" {
  instance_name = google_bigtable_instance.online.name
  table         = google_bigtable_table.online.name
  role          = "roles/bigtable.reader"
  member        = google_service_account.serving.member
}

# Those who start jobs: as the workers' accounts, and with files for them.
resource "google_project_iam_member" "launches" {
  for_each = { for pair in setproduct(var.launchers, ["roles/dataflow.developer", "roles/aiplatform.user"]) :
  "${pair[0]} ${pair[1]}" => { member = pair[0], role = pair[1] } }
  project = var.project
  role    = each.value.role
  member  = each.value.member
}

resource "google_service_account_iam_member" "launches_as" {
  for_each = { for pair in setproduct(var.launchers, keys(local.workers)) :
  "${pair[0]} ${pair[1]}" => { member = pair[0], account = pair[1] } }
  service_account_id = local.workers[each.value.account].name
  role               = "roles/iam.serviceAccountUser"
  member             = each.value.member
}

resource "google_storage_bucket_iam_member" "launchers_files" {
  for_each = var.launchers
  bucket   = google_storage_bucket.artifacts.name
  role     = "roles/storage.objectUser"
  member   = each.value
}
