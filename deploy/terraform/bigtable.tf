# One cluster: it decides each conditional change, so the default app profile routes to it and allows transactions on a
# row. A second one would need a profile of its own, and could not be written to.
resource "google_bigtable_instance" "online" {
  name                = "twinbeam"
  deletion_protection = true
  cluster {
    cluster_id   = "twinbeam-0"
    zone         = var.zone
    storage_type = "SSD"
    autoscaling_config {
      min_nodes  = var.bigtable_nodes.min
      max_nodes  = var.bigtable_nodes.max
      cpu_target = 60
    }
  }
  depends_on = [google_project_service.used]
}

locals {
  families = ["row", "progress", "mark"] # pipeline/stores/bigtable.py
}

resource "google_bigtable_table" "online" {
  name                = "online"
  instance_name       = google_bigtable_instance.online.name
  deletion_protection = "PROTECTED"
  dynamic "column_family" {
    for_each = local.families
    content {
      family = column_family.value
    }
  }
}

resource "google_bigtable_gc_policy" "newest" {
  for_each      = toset(local.families)
  instance_name = google_bigtable_instance.online.name
  table         = google_bigtable_table.online.name
  column_family = each.value
  max_version {
    number = 1
  }
}
