"""Everything that serves, started on one machine."""
