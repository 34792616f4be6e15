"""The hook for code that observes sign-ins, such as `vestibule doctor --login`."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from bff.errors import AuthError
from bff.oidc.tokens import TokenResponse
from bff.provider.identity import Sources
from bff.sessions.record import Session


class LoginObserver(Protocol):
    """Is told the end of each sign-in. It sees tokens, so it must not show or keep them. It changes nothing."""

    def signed_in(self, session: Session, *, answer: TokenResponse, sources: Sources) -> None:
        """A session was opened from this answer of the token endpoint and these claims."""

    def denied(self, error: str) -> None:
        """The provider or the person refused. `error` is the provider's code, "" if there is no usable code."""

    def refused(self, error: AuthError) -> None:
        """The start of a sign-in or a callback was refused here, or did not work."""


class Unobserved:
    """The observer of a front door: nobody."""

    def signed_in(self, session: Session, *, answer: TokenResponse, sources: Sources) -> None:
        pass

    def denied(self, error: str) -> None:
        pass

    def refused(self, error: AuthError) -> None:
        pass


class TellingRefusals:
    """Tells the observer of each `AuthError` that leaves the block."""

    __slots__ = ("_observer",)

    def __init__(self, observer: LoginObserver) -> None:
        self._observer = observer

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, AuthError):
            self._observer.refused(error)
