variable "project" {
  description = "The project's id. All is made in it."
  type        = string
}

variable "region" {
  description = "Where all is, so that no byte leaves it: europe-west4."
  type        = string
}

variable "zone" {
  description = "Where Bigtable's one cluster is, in the region: europe-west4-a."
  type        = string
}

variable "sources" {
  description = "The sources of the declaration that are streams, by name: the seconds that an event may be late."
  type        = map(object({ lateness_s = number }))
}

variable "launchers" {
  description = "Who starts jobs and pipelines: user:, group: or serviceAccount: members."
  type        = set(string)
}

variable "alert_email" {
  description = "Who is told when something is wrong."
  type        = string
}

variable "bigtable_nodes" {
  description = "Bounds of the cluster's size; it follows the load between them."
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 5 }
}
