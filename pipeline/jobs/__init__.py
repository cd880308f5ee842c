"""Jobs: each is read from its source to its sink on one page."""
