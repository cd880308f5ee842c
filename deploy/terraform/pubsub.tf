# One topic and one subscription a source. They have no dead-letter policy: Dataflow supports none, and the job itself
# says of each event why it does not count, in the topic of dead letters.
resource "google_pubsub_topic" "events" {
  for_each                   = var.sources
  name                       = "twinbeam-${each.key}"
  message_retention_duration = "604800s" # a new bootstrap can start from a week ago
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
  depends_on = [google_project_service.used]
}

resource "google_pubsub_subscription" "events" {
  for_each                   = var.sources
  name                       = "twinbeam-${each.key}"
  topic                      = google_pubsub_topic.events[each.key].id
  ack_deadline_seconds       = 600
  message_retention_duration = "604800s"
  expiration_policy {
    ttl = "" # never, also while no job reads
  }
}

resource "google_pubsub_topic" "dead_letters" {
  name = "twinbeam-dead-letters"
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
  depends_on = [google_project_service.used]
}

resource "google_pubsub_subscription" "dead_letters" {
  name                       = "twinbeam-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s" # a month, to look at them
  expiration_policy {
    ttl = ""
  }
}
