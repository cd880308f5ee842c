"""Messages in text files, read with the words that TensorFlow Serving has for a bad one."""

import sys
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from pipeline.serving.model_server.status import InvalidArgument, NotFound


def read_message(path: str, kind: Any) -> Any:
    """The message in the file.

    Args:
      path: The file.
      kind: The message's class.

    Raises:
      NotFound: There is no such file.
      InvalidArgument: It holds something else; where and what is on standard error.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NotFound(f"{path}; {error.strerror}") from None
    try:
        return text_format.Parse(text, kind())
    except text_format.ParseError as error:
        where = f"{error.GetLine() or 1}:{error.GetColumn() or 1}"
        said = str(error).removeprefix(f"{where} : ")
        sys.stderr.write(f"Error parsing text-format {kind.DESCRIPTOR.full_name}: {where}: {said}\n")
        raise InvalidArgument(f"Invalid protobuf file: '{path}'") from None
