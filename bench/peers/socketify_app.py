"""A push server on socketify: HS256 token on the upgrade, a topic for each account, JSON changes over HTTP."""

from __future__ import annotations

import json
import sys
from typing import Any

import jwt
from socketify import App, OpCode


def main(port: int, secret: str) -> None:
    """Serve until ended."""
    app = App()

    def upgrade(response: Any, request: Any, context: Any) -> None:
        _, _, token = (request.get_header("authorization") or "").partition(" ")
        try:
            claims = jwt.decode(token, secret, algorithms=["HS256"], options={"require": ["exp", "sub"]})
        except jwt.PyJWTError:
            response.write_status(401).end("bad token")
            return
        response.upgrade(
            request.get_header("sec-websocket-key"),
            request.get_header("sec-websocket-protocol"),
            request.get_header("sec-websocket-extensions"),
            context,
            claims["sub"],
        )

    def changes(response: Any, request: Any) -> None:
        body = bytearray()

        def received(response: Any, part: bytes | None, last: bool) -> None:
            body.extend(part or b"")
            if not last:
                return
            for account, states in json.loads(body).items():
                change = {"@type": "StateChange", "changed": {account: states}}
                app.publish(account, json.dumps(change, separators=(",", ":")), OpCode.TEXT)
            response.write_status(202).end("")

        response.on_data(received)

    app.ws(
        "/ws",
        {
            "compression": 0,
            "idle_timeout": 60,
            "send_pings_automatically": True,
            "max_backpressure": 1024 * 1024,
            "upgrade": upgrade,
            "open": lambda socket: socket.subscribe(socket.get_user_data()),
            "message": lambda socket, message, opcode: None,
        },
    )
    app.post("/changes", changes)
    app.listen({"port": port, "host": "127.0.0.1"})
    app.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
