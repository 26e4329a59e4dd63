"""A connection to Milvus: a file of Milvus Lite on this machine, a server or a cluster."""

import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from itr_core.errors import GalleryError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

log = logging.getLogger(__name__)

TOKEN = "PAIRSCOPE_MILVUS_TOKEN"
"""Environment variable with the token, or USER:PASSWORD, of servers that ask for one."""
_IS_AWAY = "does not answer ({}). Start it, make the index again (pairscope index)"
_REFUSES = f"refuses access ({{}}). Set the environment variable {TOKEN} to the token or USER:PASSWORD"
_CONNECT_SECONDS = 3
_LONG_SECONDS, _REST_SECONDS = 1, 5
"""After a failure that took so long, Milvus is not asked for a while: searches would queue up for it."""


class MilvusConnection:
    """Calls of one Milvus, from several threads. It is connected to by the first call.

    Args:
        uri: http(s)://HOST:PORT of a server, or FILE.db of Milvus Lite.

    Attributes:
        uri: the same, the file as an absolute path.
        file: the file of Milvus Lite; None for a server.

    Raises:
        GalleryError: `uri` is neither, or contains what could be secret.
    """

    def __init__(self, uri: str) -> None:
        self.file: Path | None = None
        if not uri.startswith(("http://", "https://")):
            if not uri.endswith(".db"):
                raise GalleryError(
                    f"milvus:{uri} names no Milvus. Write milvus:http://HOST:19530 for a server, or "
                    "milvus:FILE.db for Milvus Lite on this machine."
                )
            self.file = Path(os.path.expanduser(uri)).absolute()
            uri = str(self.file)
        elif "@" in uri or "?" in uri:
            raise GalleryError(
                "The URI of Milvus contains a user, a password or a query, which would be stored. Leave them "
                f"out, and set the environment variable {TOKEN} to USER:PASSWORD."
            )
        self.uri = uri
        self._client: MilvusClient | None = None
        self._lock = threading.Lock()
        self._failed, self._rests_until = "", 0.0

    def call(self, method: str, *args: Any, seconds: float, **kwargs: Any) -> Any:
        """Call a method of `pymilvus.MilvusClient`.

        Args:
            method: its name.
            args: its arguments.
            seconds: how long to wait for the answer.
            kwargs: its other arguments.

        Raises:
            GalleryError: pymilvus is not installed, or Milvus does not answer or refuses the call. A note of
                the error is for visitors of the app, who are not told where Milvus is.
        """
        with self._lock:
            if time.monotonic() < self._rests_until:
                raise self._error()
            client = self._client = self._client or self._connect()
        from pymilvus import MilvusException

        start = time.monotonic()
        try:
            return getattr(client, method)(*args, timeout=seconds, **kwargs)
        except MilvusException as error:
            raise self._failure(error.message, start) from error

    def _connect(self) -> "MilvusClient":
        try:
            import grpc
            from pymilvus import MilvusClient, MilvusException
        except ImportError:
            raise GalleryError("Milvus needs its client: pip install 'pairscope[milvus]'.") from None
        # They log a traceback of every error, which is raised, too, or which the client expects.
        for library in ("pymilvus", "milvus_lite", "grpc._server"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        start = time.monotonic()
        try:
            return MilvusClient(
                self.uri,
                token=os.environ.get(TOKEN, ""),
                timeout=_CONNECT_SECONDS,
                # By default gRPC waits for two minutes, in the end, before it asks a server again.
                grpc_options={"grpc.max_reconnect_backoff_ms": 1_000},
            )
        except MilvusException as error:
            reason = error.message
            if self.file:
                reason += "; one process at a time can open a file, `milvus-lite server` serves it to several"
            cause = error.__cause__
            if isinstance(cause, grpc.Call) and cause.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise self._failure(cause.details(), start, _REFUSES) from error
            raise self._failure(reason, start) from error

    def _failure(self, reason: str, start: float, says: str = _IS_AWAY) -> GalleryError:
        self._failed = says.format(" ".join(reason.split())[:300])
        if (now := time.monotonic()) > start + _LONG_SECONDS:
            self._rests_until = now + _REST_SECONDS
        error = self._error()
        log.info("%s", error)
        return error

    def _error(self) -> GalleryError:
        error = GalleryError(f"Milvus at {self.uri} {self._failed}, or search without it (--exact).")
        error.add_note("The index of this gallery does not answer. The server's log has the details.")
        return error
