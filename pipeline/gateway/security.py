"""Who may ask: where the gateway may listen, and the API keys."""

import hmac
import ipaddress
import re
import socket
from pathlib import Path

from modules.spec import InputError

_KEY = re.compile(r"[!-~]{16,}")


def is_loopback(host: str) -> bool:
    """Whether all addresses of a host are this machine's own."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise InputError(f"--host {host}: {error.strerror}. Name an address of this machine.") from None
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


class ApiKeys:
    """The keys of a file, of which a request has to have one."""

    def __init__(self, path: Path) -> None:
        """Reads the keys: one a line, at least 16 visible ASCII characters each.

        Raises:
          InputError: The file cannot be read, or holds something else.
        """
        try:
            lines = path.read_text(encoding="ascii").split("\n")
        except (OSError, UnicodeDecodeError):
            raise InputError(f"--api-key-file {path}: cannot be read as ASCII text. Name a readable file.") from None
        self._keys = [line.encode() for line in lines if line]
        if not self._keys or not all(_KEY.fullmatch(key.decode()) for key in self._keys):
            raise InputError(
                f"--api-key-file {path}: accepted: one key a line, at least 16 visible ASCII characters without blanks "
                "each. Make one with `openssl rand -hex 32`."
            )

    def accepts(self, authorization: bytes) -> bool:
        """Whether a header `Authorization: Bearer KEY` has one of the keys; it takes as long whichever it is."""
        scheme, _, given = authorization.partition(b" ")
        matches = [hmac.compare_digest(key, given) for key in self._keys]
        return any(matches) and scheme.lower() == b"bearer"
