"""The versions of a served model in a bucket of Google Cloud Storage: gs://BUCKET/PATH/<version>/.

A bucket renames nothing at once, so `saved_model.pb` is written last: without it a directory is no version, here as for
TensorFlow Serving. A version belongs to whoever creates its first object, which a bucket grants to one alone.
"""

import base64
import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from google.api_core.exceptions import GoogleAPIError, PreconditionFailed
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Blob, Bucket, Client  # type: ignore[import-untyped]

from modules.spec import OutputError

SCHEME = "gs://"
_LAST = "saved_model.pb"
_MEMBER = re.compile("([1-9][0-9]*)/(.+)")


def push(model: Path, base: str, complete: Callable[[Path], None], apart: str) -> int:
    """Writes a model as the next version, unless the newest version holds it already.

    Args:
      model: A SavedModel's directory.
      base: The served model's place: gs://BUCKET/PATH.
      complete: Adds files to what is written.
      apart: The name of a file that makes no difference.

    Returns:
      The version that holds the model.

    Raises:
      OutputError: The bucket does not take it; nothing that was there has changed.
    """
    name, _, path = base.removeprefix(SCHEME).partition("/")
    try:
        with tempfile.TemporaryDirectory(prefix="twinbeam-push-") as scratch:
            copy = Path(shutil.copytree(model, Path(scratch, "model")))
            complete(copy)
            return _Place(Client().bucket(name), path.strip("/")).push(copy, apart)
    except (GoogleAPIError, GoogleAuthError) as error:
        raise OutputError(
            f"{base}: the model cannot be pushed: {str(error).splitlines()[0]}. The bucket must exist, and the account "
            "that runs this must be allowed to list, read and create its objects."
        ) from None


class _Place:
    """Objects below a path of a bucket."""

    def __init__(self, bucket: Bucket, path: str) -> None:
        self._bucket = bucket
        self._prefix = f"{path}/" if path else ""

    def push(self, model: Path, apart: str) -> int:
        here = {path.relative_to(model).as_posix(): _md5(path) for path in model.rglob("*") if path.is_file()}
        there = self._versions()
        newest = max((version for version, files in there.items() if _LAST in files), default=0)
        if newest and _without(apart, there[newest]) == _without(apart, here):
            return newest
        first, *others = sorted(here, key=lambda file: (file == _LAST, file))
        version = self._claim(max(there, default=0) + 1, model, first)
        for file in others:
            self._object(version, file).upload_from_filename(str(model / file))
        return version

    def _versions(self) -> dict[int, dict[str, str]]:
        """The files of each version, whole or not, with their MD5 digests in base64."""
        found: dict[int, dict[str, str]] = {}
        for blob in self._bucket.list_blobs(prefix=self._prefix):
            if match := _MEMBER.fullmatch(blob.name.removeprefix(self._prefix)):
                found.setdefault(int(match[1]), {})[match[2]] = blob.md5_hash
        return found

    def _claim(self, version: int, model: Path, first: str) -> int:
        """Creates the first object of a version; of the next one, if someone else has created it."""
        while True:
            try:
                self._object(version, first).upload_from_filename(str(model / first), if_generation_match=0)
                return version
            except PreconditionFailed:
                version += 1

    def _object(self, version: int, file: str) -> Blob:
        return self._bucket.blob(f"{self._prefix}{version}/{file}")


def _without(apart: str, files: dict[str, str]) -> dict[str, str]:
    return {file: md5 for file, md5 in files.items() if Path(file).name != apart}


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
