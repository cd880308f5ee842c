"""The feature gateway: requests with keys in, live features looked up, scores out."""
