project     = "my-project"
region      = "europe-west4"
zone        = "europe-west4-a"
alert_email = "alerts@example.com"
launchers   = ["group:ml@example.com"]
sources = {
  trips    = { lateness_s = 300 }
  payments = { lateness_s = 79200 }
}
