"""Sends the changes on standard input to a publisher: `python3 example.py <changes`. Each line is

    ACCOUNT EVENT [STATES]        alice MessageNew {"Email": "s1042", "Mailbox": "s77"}

If the publisher refuses a change, the program reports it and goes on. The exit code is then 1.
"""

import json
import logging
import sys

from tidings_tell import Refused, tell


def main() -> int:
    """Tell of every line; the exit code."""
    logging.basicConfig(format="%(message)s")
    refused = 0
    for line in sys.stdin:
        try:
            account, event, *states = line.split(maxsplit=2)
            tell(account, event, json.loads(states[0]) if states else None)
        except Refused as error:
            refused = 1
            sys.stderr.write(f"refused: {account} {event}: {error}\n")
        except ValueError as error:
            sys.stderr.write(f"{line.rstrip()}: {error}\n")
            return 2
    return refused


if __name__ == "__main__":
    sys.exit(main())
