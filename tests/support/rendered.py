"""What a chart was rendered to: the objects of a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import yaml

RELEASE = "tidings"
NAMESPACE = "mail"

Object = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """The objects of a release, and what Helm prints."""

    objects: list[Object]
    notes: str

    @classmethod
    def of_files(cls, files: Mapping[str, str]) -> Self:
        """What Helm rendered, by template."""
        # Helm prints the notes of the chart itself, and of no chart in it.
        notes = min((name for name in files if name.endswith("NOTES.txt")), key=len)
        manifests = (text for name, text in files.items() if not name.endswith("NOTES.txt"))
        return cls([each for text in manifests for each in yaml.safe_load_all(text) if each], files[notes])

    def of(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def get(self, kind: str, name: str) -> Object:
        """The object of this kind and name, which has to be there once."""
        (found,) = (each for each in self.of(kind) if each["metadata"]["name"] == name)
        return found

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Every pod that the release makes: a name for it, and its template."""
        for each in self.objects:
            if each["kind"] == "Pod":
                yield f"Pod {each['metadata']['name']}", each
            elif "template" in each.get("spec", {}):
                yield f"{each['kind']} {each['metadata']['name']}", each["spec"]["template"]
