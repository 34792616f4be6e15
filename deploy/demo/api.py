"""The science API of the demonstration: a model, simulations in the background, and who used what.

It runs behind the gateway, which sends a bearer token with each call. Even so, it checks that token itself: signature,
issuer, audience, expiry, roles. A call that goes around the gateway without a token gets 401. These environment
variables set it up: `VESTIBULE_JWT__ISSUER, __AUDIENCE` and `__JWKS_URL` (or `__HS256_SECRET`), and
`COLONY_SIMULATION_SECONDS`.

    uvicorn --app-dir deploy/demo api:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response, status
from fastapi.responses import HTMLResponse

from bff.bearer import JWTBearer, RequireRoles, StandardClaims
from colony.body_mass import fit_body_mass
from colony.messages import (
    Health,
    Person,
    PredictAnswer,
    PredictRequest,
    SimulationAnswer,
    SimulationRequest,
    UsageAnswer,
    UsageReport,
)
from colony.reference import render_reference
from colony.simulation_desk import DeskFull, DeskLimits, SimulationDesk, TooManySimulations
from colony.usage import UsageLedger

bearer = JWTBearer.from_env()
Caller = Annotated[StandardClaims, Depends(bearer)]

model = fit_body_mass()
desk = SimulationDesk(DeskLimits(seconds=float(os.environ.get("COLONY_SIMULATION_SECONDS", "20"))))
ledger = UsageLedger()


def count_call(request: Request, caller: Caller) -> None:
    """Note who called which endpoint. The endpoint is the route's template, so each id in a path is not a new one."""
    name = caller.preferred_username or caller.email or caller.sub
    ledger.record(owner_of(caller), f"{request.method} {request.scope['route'].path}", name=name)


def may_predict(caller: Caller) -> None:
    """Let the caller in who has the scope `models:predict` (a machine) or the role analyst (a person)."""
    if caller.has_scope("models:predict") or caller.has_role("analyst"):
        return
    raise HTTPException(
        status.HTTP_403_FORBIDDEN,
        "Predictions are for analysts.",
        headers={"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="models:predict"'},
    )


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    desk.close()


# FastAPI's own pages of documentation load scripts from the Internet. The one at /docs below needs none.
app = FastAPI(title="Rookery API", version="1.0.0", lifespan=lifespan, docs_url=None, redoc_url=None)
signed_in = APIRouter(dependencies=[Depends(count_call)])


@app.get("/healthz")
def healthz() -> Health:
    return Health()


@app.get("/docs", include_in_schema=False)
def read_reference() -> HTMLResponse:
    return HTMLResponse(render_reference(app.openapi()))


@signed_in.get("/users/me")
def read_me(caller: Caller) -> Person:
    return Person(
        sub=caller.sub,
        name=caller.name,
        email=caller.email,
        roles=list(caller.roles),
        groups=list(caller.groups),
        scopes=sorted(caller.scopes),
        issuer=caller.iss,
        token_issued_at=caller.iat,
        token_expires_at=caller.exp,
    )


@signed_in.post("/predict", dependencies=[Depends(may_predict)])
def predict(bird: PredictRequest) -> PredictAnswer:
    return PredictAnswer.of(model.estimate(bird.bird()), r_squared=model.r_squared, birds=model.birds)


@signed_in.post("/simulations", status_code=status.HTTP_202_ACCEPTED)
def start_simulation(wanted: SimulationRequest, caller: Caller, response: Response) -> SimulationAnswer:
    try:
        simulation = desk.start(owner_of(caller), wanted.colony())
    except TooManySimulations as error:
        raise busy(status.HTTP_429_TOO_MANY_REQUESTS, "Two of your simulations are still running.") from error
    except DeskFull as error:
        raise busy(status.HTTP_503_SERVICE_UNAVAILABLE, "All places are taken by running simulations.") from error
    # A relative address is right under every prefix at which the gateway may serve this API.
    response.headers["Location"] = f"simulations/{simulation.id}"
    return SimulationAnswer.of(simulation)


@signed_in.get("/simulations/{simulation_id}")
def read_simulation(simulation_id: str, caller: Caller) -> SimulationAnswer:
    simulation = desk.find(owner_of(caller), simulation_id)
    if simulation is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "You have no simulation with this id.")
    return SimulationAnswer.of(simulation)


@signed_in.get("/admin/usage", dependencies=[Depends(RequireRoles(bearer, "admin"))])
def read_usage() -> UsageReport:
    return UsageReport(since=ledger.since, entries=[UsageAnswer.model_validate(usage) for usage in ledger.entries()])


def owner_of(caller: StandardClaims) -> str:
    """Return a permanent name of the person. `sub` is unique only within one issuer (OpenID Connect Core section 2)."""
    return f"{caller.iss} {caller.sub}"


def busy(status_code: int, message: str) -> HTTPException:
    return HTTPException(status_code, message, headers={"Retry-After": "10"})


app.include_router(signed_in)
