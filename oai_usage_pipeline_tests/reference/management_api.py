"""A stand-in for Azure's management API on a free port: answers as told, remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVICE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/a"


@dataclass(frozen=True)
class Answer:
    """One answer; a body that is no text becomes JSON."""

    body: Any = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class ManagementApi:
    """Answers in their order, the last one for ever; requests as (path with query, headers)."""

    endpoint: str
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def next_answer(self, path: str, headers: dict[str, str]) -> Answer:
        self.requests.append((path, headers))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def tokens(self) -> set[str | None]:
        """The Authorization headers that came."""
        return {headers.get("Authorization") for _, headers in self.requests}


@contextmanager
def management_api() -> Iterator[ManagementApi]:
    """Run one until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = api.next_answer(self.path, dict(self.headers))
            body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(body.encode()))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = ManagementApi(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listed(*ids: str, next_link: str | None = None, **properties: object) -> Answer:
    """A page as the API's reference shows it."""
    value = [
        {
            "id": f"{SERVICE}/subscriptions/{each}",
            "type": "Microsoft.ApiManagement/service/subscriptions",
            "name": each,
            "properties": {
                "ownerId": f"{SERVICE}/users/ann",
                "scope": f"{SERVICE}/products/x",
                "displayName": f"Team of {each}",
                "state": "active",
                "createdDate": "2026-01-02T03:04:05.678Z",
                "startDate": None,
                "expirationDate": None,
                **properties,
            },
        }
        for each in ids
    ]
    return Answer({"value": value, "count": len(value), **({"nextLink": next_link} if next_link else {})})
