"""What says how a release was made: an in-toto statement with SLSA's provenance. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def statement(
    version: str,
    registry: str,
    identity: Mapping[str, str],
    subjects: Mapping[str, str],
    materials: Mapping[str, Mapping[str, str]],
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """The statement on subjects (names and `sha256:` digests). It has no time, so that a release can be repeated.

    The builder is the workflow where GitHub's variables name one, else a person with `make release`.
    Source: in-toto attestation v1, SLSA provenance v1.
    """
    home = identity["homepage"]
    workflow = environment.get("GITHUB_WORKFLOW_REF")
    builder = f"{environment['GITHUB_SERVER_URL']}/{workflow}" if workflow else f"{home}builders/make-release"
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for name, digest in subjects.items()
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{home}build-types/make-release/v1",
                "externalParameters": {"version": version, "registry": registry},
                "resolvedDependencies": [{"uri": uri, "digest": dict(digest)} for uri, digest in materials.items()],
            },
            "runDetails": {"builder": {"id": builder}},
        },
    }
