"""Batch prediction: rows in files, the pushed model, scores in Parquet. The one job that needs TensorFlow."""
