"""What the other rooms call a socket, which they only pass on."""

from __future__ import annotations

import socket
from typing import TypeAlias

Socket: TypeAlias = socket.socket
"""One to accept from, or one that leaves the parking lot."""
