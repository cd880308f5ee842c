# Workers have no public addresses; Google's services are reached from within.
resource "google_compute_network" "twinbeam" {
  name                    = "twinbeam"
  auto_create_subnetworks = false
  depends_on              = [google_project_service.used]
}

resource "google_compute_subnetwork" "workers" {
  name                     = "twinbeam-workers"
  network                  = google_compute_network.twinbeam.id
  region                   = var.region
  ip_cidr_range            = "10.10.0.0/20"
  private_ip_google_access = true
}
