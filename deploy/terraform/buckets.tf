# Outputs of components, and what Dataflow keeps while it runs.
resource "google_storage_bucket" "artifacts" {
  name                        = "${var.project}-twinbeam-artifacts"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  # Dataflow's temporary files would be paid for a week after they are gone.
  soft_delete_policy {
    retention_duration_seconds = 0
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = 14
      matches_prefix = ["dataflow/temp/"]
    }
  }
}

# The served versions. What is deleted or overwritten by mistake is there for a month.
resource "google_storage_bucket" "models" {
  name                        = "${var.project}-twinbeam-models"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  versioning {
    enabled = true
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 30
    }
  }
}

# Rows and the history of events; nothing here writes them.
resource "google_storage_bucket" "data" {
  name                        = "${var.project}-twinbeam-data"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
}
