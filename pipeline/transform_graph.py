"""The transform graph, as training calls it: columns of examples in, the model's inputs out."""

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig
from tfx_bsl.tfxio.tensor_representation_util import InferTensorRepresentationsFromMixedSchema

from modules.spec import Declaration
from pipeline.ingest.examples import example_types


def form_of(raw: schema_pb2.Schema, declaration: Declaration) -> TensorAdapterConfig:
    """How the columns of the raw features become the tensors that `preprocessing_fn` takes."""
    tensors = InferTensorRepresentationsFromMixedSchema(raw)
    columns = example_types(declaration)
    return TensorAdapterConfig(pa.schema([(name, pa.large_list(columns[name])) for name in tensors]), tensors)


class TransformGraph:
    """A loaded graph."""

    def __init__(self, saved_model: str, form: TensorAdapterConfig) -> None:
        """Loads it.

        Args:
          saved_model: The SavedModel in Transform's directory.
          form: Of its inputs.
        """
        self._names = form.arrow_schema.names
        self._adapter = TensorAdapter(form)
        self._loader = SavedModelLoader(saved_model)

    def inputs(self, examples: pa.RecordBatch) -> dict[str, np.ndarray]:
        """The model's inputs, each of shape (rows,) or (rows, width), by name; other columns are left alone."""
        tensors = self._adapter.ToBatchTensors(examples.select(self._names))
        return {name: np.asarray(tensor) for name, tensor in self._loader.apply_transform_model(tensors).items()}
