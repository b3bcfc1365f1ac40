"""What a test starts, and is gone afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Started(ABC):
    """Runs for as long as a `with` block; is gone afterwards, and when it did not even start."""

    @abstractmethod
    def start(self) -> None:
        """Start it and return once it is ready."""

    @abstractmethod
    def close(self) -> None:
        """End it and remove what it has left."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
