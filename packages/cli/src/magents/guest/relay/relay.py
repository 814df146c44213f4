"""What goes between a client and Task Master's MCP server."""

from __future__ import annotations

import os
import select
import time

import tools
from server import Failed, Server
from wire import answer, decode, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wire import Error, Message

PROTOCOLS = ("2025-06-18", "2025-11-25", "2025-03-26", "2024-11-05")
LOCK_TIMEOUT_S = 60.0
"""Seconds to wait for the lock."""
START_TIMEOUT_S = 180.0
"""Seconds for the server to be there. A busy machine with a cold disk needs 45."""
CALL_TIMEOUT_S = 900.0
"""Seconds for one call. Those that ask a model take minutes."""
IDLE_S = 300.0
"""Seconds after the last call until the server is ended."""
GRACE_S = 5.0
"""Seconds for a call that is under way when the client has gone."""


class Job:
    """A request that needs the server."""

    def __init__(self, id: Any, method: str, params: Message) -> None:
        self.id = id
        self.method = method
        self.params = params


class Relay:
    """A client and, from its first call on, a server. `work` holds the requests that need it, the oldest first.

    `phase` is what happens with the first of them: nothing (`idle`), the server is `starting`, the lock is waited
    for (`locking`), it is `calling`. It must be over at `until`.
    """

    def __init__(self, root: str, argv: list[str]) -> None:
        self.root = root
        self.argv = argv
        self.version = tools.version(argv[0])
        self.server: Server | None = None
        self.work: list[Job] = []
        self.count = 0
        self.heard = b""
        self.listed: list[Message] = []
        self.turn("idle", IDLE_S)

    def turn(self, phase: str, seconds: float) -> None:
        """Go over to another phase, which may last so long."""
        self.phase = phase
        self.until = time.monotonic() + seconds

    def run(self) -> None:
        """Serve until the client has gone."""
        while True:
            self.go_on()
            ready = select.select([0, *(self.server.sources() if self.server else [])], [], [], self.patience())[0]
            if 0 in ready and not self.hear_client():
                return
            self.hear_server(ready)

    def patience(self) -> float | None:
        """Seconds until there is something to do of which nobody tells."""
        return max(0.0, self.until - time.monotonic()) if self.server else None

    def hear_client(self) -> bool:
        """Take what the client says; False when it has gone."""
        data = os.read(0, 65536)
        lines = (self.heard + data).split(b"\n")
        self.heard = lines.pop()
        for line in filter(bytes.strip, lines):
            decoded = decode(line)
            if decoded is None:
                answer(None, error=(-32700, "This is no JSON."))
            for message in decoded if isinstance(decoded, list) else [decoded]:
                if isinstance(message, dict):
                    self.take(message)
        return bool(data)

    def take(self, message: Message) -> None:
        """A message of the client."""
        method, id, params = message.get("method"), message.get("id"), message.get("params")
        params = params if isinstance(params, dict) else {}
        if method == "notifications/cancelled":
            self.cancel(params.get("requestId"))
        elif id is None or method is None:
            pass  # other notifications, and answers to what nobody asked
        elif method == "initialize":
            protocol = params.get("protocolVersion")
            answer(id, {
                "protocolVersion": protocol if protocol in PROTOCOLS else PROTOCOLS[0],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "task-master-ai", "version": self.version or "unknown"},
            })  # fmt: skip
        elif method == "ping":
            answer(id, {})
        elif method == "tools/list" and (known := tools.kept(self.version)) is not None:
            answer(id, {"tools": tools.offered(known)})
        elif method == "tools/call" and not tools.offers(params.get("name")):
            answer(id, error=(-32602, f"There is no tool {params.get('name')} here."))
        elif method in ("tools/list", "tools/call"):
            self.work.append(Job(id, method, params))
        else:
            answer(id, error=(-32601, f"There is no method {method} here."))

    def cancel(self, id: Any) -> None:
        """The client wants no answer. A call under way keeps the lock to its end: Task Master does not stop."""
        under_way = self.work[:1] if self.phase == "calling" else []
        for job in self.work:
            if job.id == id:
                job.id = None
        self.work = under_way + [job for job in self.work[len(under_way) :] if job.id is not None]
        if not self.work and self.server and self.phase == "locking":
            self.server.unlock()
            self.turn("idle", IDLE_S)

    def go_on(self) -> None:
        """Do what is to be done next."""
        late = time.monotonic() > self.until
        try:
            if self.phase == "idle":
                self.begin(late)
            elif self.phase == "locking" and self.server:
                self.call(self.server, late)
            elif late:
                raise Failed(f"Task Master's MCP server did not answer while {self.phase}, and was ended")
        except (Failed, OSError) as error:
            self.fail(error)

    def begin(self, late: bool) -> None:
        """From idle: turn to the next request, or end a server that nobody needs."""
        if self.server and ((late and not self.work) or self.moved(self.server)):
            self.drop()
        if self.work and self.server:
            self.turn("locking", LOCK_TIMEOUT_S)
            self.call(self.server, False)
        elif self.work:
            self.turn("starting", START_TIMEOUT_S)
            self.server = Server(self.argv, self.root)
            me = {"name": "magents", "version": "1"}
            hello = {"protocolVersion": PROTOCOLS[0], "capabilities": {}, "clientInfo": me}
            self.server.tell({"id": "hello", "method": "initialize", "params": hello})

    def moved(self, server: Server) -> bool:
        """Whether the folder is not the one any more that the server can lock."""
        try:
            return not os.path.samestat(os.stat(os.path.join(self.root, ".taskmaster")), os.fstat(server.folder))
        except OSError:
            return True

    def call(self, server: Server, late: bool) -> None:
        """Send the first request, once the list is ours."""
        job = self.work[0]
        params = job.params
        if job.method == "tools/call":
            if not server.try_lock(LOCK_TIMEOUT_S):
                if late:
                    server.unlock()
                    words = f"others have been writing the list of tasks for more than {LOCK_TIMEOUT_S:g} s."
                    text = {"type": "text", "text": f"Nothing was done: {words} Call again later."}
                    self.finish({"isError": True, "content": [text]})
                return
            if params["name"] == "add_task":
                tools.provide(self.root)
            params = {**params, "arguments": tools.arguments(params.get("arguments"), self.root)}
        self.count += 1
        self.turn("calling", CALL_TIMEOUT_S)
        server.tell({"id": self.count, "method": job.method, "params": params})

    def hear_server(self, ready: list[int]) -> None:
        """Take what the server says."""
        server = self.server
        try:
            for message in server.hear(ready) if server else []:
                if server is not self.server or server is None:
                    return  # it was ended meanwhile
                if "method" in message:
                    self.hear_request(server, message)
                elif message.get("id") == "hello" and self.phase == "starting":
                    server.tell({"method": "notifications/initialized"})
                    self.turn("idle", IDLE_S)
                    self.go_on()
                elif message.get("id") == self.count and self.phase == "calling":
                    self.answered(server, message)
        except Failed as error:
            self.fail(error)

    def hear_request(self, server: Server, message: Message) -> None:
        """A request or a notification of the server's. Only progress is handed on to the client."""
        if "id" in message:
            known = {"result": {}} if message["method"] == "ping" else {"error": {"code": -32601, "message": "no"}}
            server.tell({"id": message["id"], **known})
        elif message["method"] == "notifications/progress":
            write(message)

    def answered(self, server: Server, message: Message) -> None:
        """The first request is answered."""
        server.unlock()
        result = message.get("result")
        if self.work[0].method == "tools/list" and isinstance(result, dict) and "tools" in result:
            self.listed = result["tools"]
            tools.keep(self.version, self.listed)
            result = {"tools": tools.offered(self.listed)}
        error = message.get("error")
        self.finish(result, (error.get("code"), error.get("message")) if isinstance(error, dict) else None)

    def finish(self, result: Any = None, error: Error | None = None) -> None:
        """The first request is over; there may be a next one."""
        job = self.work.pop(0)
        self.turn("idle", IDLE_S)
        if job.id is not None:
            answer(job.id, result, error)
        self.go_on()

    def fail(self, error: Exception) -> None:
        """The first request has failed, and the server with it."""
        self.drop()
        if self.work:
            self.finish(error=(-32603, f"{error}. Call again: it is started anew."))
        else:
            self.turn("idle", IDLE_S)

    def drop(self) -> None:
        """Be without a server."""
        server, self.server = self.server, None
        if server:
            server.close()

    def end(self) -> None:
        """The client has gone: let a call that is under way come to its end, then end the server."""
        if self.server and self.phase == "calling":
            self.work = self.work[:1]
            self.work[0].id = None
            until = time.monotonic() + GRACE_S
            while self.work and self.server and time.monotonic() < until:
                self.hear_server(select.select(self.server.pipes, [], [], 0.2)[0])
        self.drop()
