resource "google_monitoring_notification_channel" "email" {
  display_name = "Twinbeam"
  type         = "email"
  labels       = { email_address = var.alert_email }
  depends_on   = [google_project_service.used]
}

locals {
  alerts = {
    "a Dataflow job failed" = {
      filter = "resource.type = \"dataflow_job\" AND metric.type = \"dataflow.googleapis.com/job/is_failed\""
      above  = 0
      for_s  = 0
      says   = "A job with this name has failed: its log in Dataflow says why. Answers stay right, and grow old."
    }
    "the stream is behind" = {
      filter = "resource.type = \"dataflow_job\" AND metric.type = \"dataflow.googleapis.com/job/system_lag\""
      above  = 300
      for_s  = 300
      says   = "Events wait for 5 minutes and more. Beyond what `delay` allows answers say `complete: false`."
    }
    "Bigtable is busy" = {
      filter = "resource.type = \"bigtable_cluster\" AND metric.type = \"bigtable.googleapis.com/cluster/cpu_load_hottest_node\""
      above  = 0.9
      for_s  = 600
      says   = "One node decides too much: a hot key, or bigtable_nodes.max is too small."
    }
    "events do not count" = {
      filter = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead_letters.name}\" AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      above  = 0
      for_s  = 0
      says   = "Dead letters are there: each has its reason. docs/stream.md says what to do."
    }
  }
  waits = {
    for name, source in var.sources : "events of ${name} wait" => {
      filter = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.events[name].name}\" AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      above  = source.lateness_s
      for_s  = 300
      says   = "The oldest event has waited for longer than its source's lateness: the stream is down or too small."
    }
  }
}

resource "google_monitoring_alert_policy" "all" {
  for_each              = merge(local.alerts, local.waits)
  display_name          = "Twinbeam: ${each.key}"
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]
  conditions {
    display_name = each.key
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = "${each.value.for_s}s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }
  documentation {
    content = each.value.says
  }
}
