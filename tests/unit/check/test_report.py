from __future__ import annotations

from tests.unit.check.test_ledger import Run
from tidings.check.ledger import RESYNC, Arrival
from tidings.check.report import SHOWN_LOSSES, table
from tidings.check.verdict import losses


def rows(text: str) -> dict[str, str]:
    return {line[:24].strip(): line[24:36].strip() for line in text.splitlines()}


def test_the_table_adds_everything_up() -> None:
    run = Run(types=("Email",))
    run.send().attempts = 2
    run.send()
    run.send(acknowledged=False)
    run.now = 1.5
    run.told(2, "Email", arrival=Arrival.RETURN)
    run.told(f"{RESYNC}x", "Email")
    run.told(3, "Email")
    text = table(run.ledger, [], compared=False)
    assert rows(text) == {
        "acknowledged": "2",
        "pushed": "1",
        "coalesced": "1",
        "replayed": "1",
        "resyncs on return": "0",
        "resyncs while connected": "1",
        "lost": "0",
        "worst time to learn": "1.500 s",
    }
    assert "1 sent again" in text
    assert "the acknowledgements" in text
    assert "the log, read back" in table(run.ledger, [], compared=True)


def test_losses_are_named_though_not_without_end() -> None:
    run = Run(types=("Email",))
    for _ in range(SHOWN_LOSSES):
        run.ledger.client(["alice"], ("Email",), 0.0)
    run.send()
    run.told(1, "Email")
    run.send()
    lost = losses(run.ledger)
    text = table(run.ledger, lost, compared=False)
    assert rows(text)["lost"] == str(SHOWN_LOSSES + 1)
    named = [line for line in text.splitlines() if line.startswith("LOST: ")]
    assert len(named) == SHOWN_LOSSES
    assert named[0] == "LOST: client 1, alice Email: told 1 last and not of 2"
    assert named[1] == "LOST: client 2, alice Email: told nothing and not of 2"
