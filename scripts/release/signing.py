"""Signatures and attestations, by cosign and a key of one's own: no transparency log is told, and none is asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

from scripts.release.running import ReleaseError, run

NO_SERVICES = {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}
"""A signing configuration without a log, a certificate authority or a clock of others."""


class Signer:
    """Signs with one key. The password is COSIGN_PASSWORD's."""

    def __init__(self, repository: Path, key: Path, scratch: Path) -> None:
        """Raise ReleaseError where there is no key, or no password."""
        program = repository / "scripts" / "cosign"
        if not key.is_file():
            raise ReleaseError(f"there is no key {key} to sign with. Make one: scripts/cosign generate-key-pair")
        if "COSIGN_PASSWORD" not in os.environ:
            raise ReleaseError(f"COSIGN_PASSWORD is not set: the password of {key}, which may be empty")
        services = scratch / "services.json"
        services.write_text(json.dumps(NO_SERVICES))
        self._program = str(program)
        self._common = ("--yes", "--key", str(key), "--signing-config", str(services))

    def sign(self, reference: str) -> None:
        """Sign an image or a chart in its registry."""
        run(self._program, "sign", *self._common, reference)

    def attest(self, reference: str, kind: str, predicate: Path) -> None:
        """Attach what is said of an image or a chart; `kind` is one of cosign's types."""
        said = ("--type", kind, "--predicate", str(predicate))
        run(self._program, "attest", *self._common, *said, reference)

    def sign_file(self, path: Path) -> None:
        """Write the signature beside a file."""
        run(self._program, "sign-blob", *self._common, "--bundle", f"{path}.sigstore.json", str(path))

    def attest_files(self, statement: Path) -> None:
        """Sign a statement on files, beside it."""
        run(
            self._program,
            "attest-blob",
            *self._common,
            "--statement",
            str(statement),
            "--bundle",
            f"{statement}.sigstore.json",
        )
