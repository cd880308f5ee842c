"""What a worker does with what was staged for a job. Run in an empty directory, by a process that has nothing of ours.

unpacked.py PIPELINE PACKAGE: installs nothing; puts the package's code first on the path, and unpickles every DoFn.
"""

import json
import sys
from pathlib import Path


def main(pipeline: str, package: str) -> None:
    """Prints which of our modules were loaded, from where, and the DoFns of the pipeline."""
    sys.path.insert(0, package)
    from apache_beam.internal import pickler
    from apache_beam.portability.api import beam_runner_api_pb2

    found = []
    proto = beam_runner_api_pb2.Pipeline.FromString(Path(pipeline).read_bytes())
    for transform in proto.components.transforms.values():
        if transform.spec.urn == "beam:transform:pardo:v1":
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            found.append(type(pickler.loads(payload.do_fn.payload)[0]).__name__)
    ours = {
        name: str(module.__file__) for name, module in sys.modules.items() if name.startswith(("pipeline.", "modules."))
    }
    heavy = sorted({"tensorflow", "tfx", "keras"} & sys.modules.keys())
    print(json.dumps({"dofns": sorted(found), "ours": ours, "heavy": heavy}))


if __name__ == "__main__":
    main(*sys.argv[1:])
