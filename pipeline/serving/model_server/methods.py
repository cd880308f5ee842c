"""The method names that a signature can have."""

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
ALL = (PREDICT, CLASSIFY, REGRESS)
