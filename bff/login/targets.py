"""What sign-in and sign-out must know about the pages of the front door. Whoever has the routes says it."""

from __future__ import annotations

from typing import Protocol

from bff.access.policy import Demands
from bff.errors import Forbidden
from bff.sessions.record import Session
from bff.settings.public_urls import PublicUrls


class Targets(Protocol):
    """Facts about local paths at an origin of the front door."""

    def is_page(self, path: str, *, urls: PublicUrls) -> bool:
        """True if a person may be sent to `path` after signing in at the origin of `urls`."""
        ...

    def demands(self, path: str, *, urls: PublicUrls) -> Demands: ...

    def refusal(self, path: str, session: Session, *, urls: PublicUrls) -> Forbidden | None:
        """Return how a rule of the page at `path` refuses this person, None if none does."""

    def clears_storage(self, urls: PublicUrls) -> bool:
        """True if a sign-out at the origin of `urls` must clear what its pages stored in the browser."""
        ...
