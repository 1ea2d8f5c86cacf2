"""The door over HTTP: the same two calls as `mfal ask` and `mfal tell`, for instrument software."""

import hmac
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Security, status
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from mfal.errors import LedgerBusyError, MfalError
from mfal.laboratory.ask import ask
from mfal.laboratory.problems import Problem, RefusedResultsError
from mfal.laboratory.reading import MOST_BYTES, Format
from mfal.laboratory.schema import Batch, ResultsFile
from mfal.laboratory.standing import Standing, standing
from mfal.laboratory.tell import tell

_FORMATS: dict[str, Format] = {"application/json": "json", "text/csv": "csv"}


class Refusal(BaseModel):
    """Why something was refused, and what to do about it."""

    detail: str


class ProblemRecord(BaseModel):
    """One reason to refuse a file."""

    line: int | None
    column: str
    value: str
    remedy: str


class ResultsRefusal(Refusal):
    """Why a file was refused: all reasons; nothing of it was taken in."""

    problems: list[ProblemRecord]


class ReceiptRecord(BaseModel):
    """What became of a file; see `mfal.laboratory.tell.Receipt`."""

    source: str
    sha256: str
    recorded: bool
    event_hash: str
    results: list[str]
    corrections: list[str]
    repeated: list[str]
    late: list[str]
    notes: list[str]


def _body_schema() -> dict[str, Any]:
    """Return the schema of a file of results in one piece: OpenAPI knows no definitions inside a body."""
    schema = ResultsFile.model_json_schema()
    schema["properties"]["results"]["items"] = schema.pop("$defs")["ResultRow"]
    return schema


_TABLE = {"type": "string", "description": "the columns are those of `mfal tell`, see its --help"}
_BODY = {
    "required": True,
    "content": {"application/json": {"schema": _body_schema()}, "text/csv": {"schema": _TABLE}},
}
_COMMON: dict[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "no token, or a wrong one"},
    409: {"model": Refusal, "description": "the campaign cannot be read or written at present"},
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    413: {"model": Refusal, "description": f"more than {MOST_BYTES} bytes"},
    415: {"model": Refusal, "description": "neither application/json nor text/csv"},
    422: {"model": ResultsRefusal, "description": "not accepted; nothing was taken in"},
}


def application(directory: Path, token: str) -> FastAPI:
    """Return the application for the campaign in `directory`; every call needs ``Authorization: Bearer TOKEN``.

    There is no call that signs anything: decisions and novelty are a person's, at the command line.
    """
    app = FastAPI(title="mfal laboratory", version="1", description=str(application.__doc__))
    guard = [Depends(_guard(token))]

    @app.get("/batch", dependencies=guard, responses=_COMMON)
    def batch() -> Batch:
        """Return what waits for the laboratory; after results were told it takes as long as the next decision does."""
        return ask(directory)

    @app.get("/status", dependencies=guard, responses=_COMMON)
    def state() -> Standing:
        """Return where the campaign stands."""
        return standing(directory)

    @app.post("/results", dependencies=guard, responses=_COMMON | _REFUSALS, openapi_extra={"requestBody": _BODY})
    async def results(request: Request, dry_run: bool = False) -> ReceiptRecord:
        """Check results and take them in, all or none; telling them again changes nothing."""
        form, content = _form(request), await _content(request)
        receipt = await run_in_threadpool(tell, directory, content, form, f"results.{form}", dry_run)
        return ReceiptRecord.model_validate(asdict(receipt))

    app.add_exception_handler(MfalError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_query)
    return app


def _guard(token: str) -> Any:
    bearer = HTTPBearer(auto_error=False)

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]) -> None:
        offered = given.credentials if given is not None else ""
        if not hmac.compare_digest(offered.encode(), token.encode()):
            text = "send the header Authorization: Bearer TOKEN with the token of this server"
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, text, {"WWW-Authenticate": "Bearer"})

    return check


def _form(request: Request) -> Format:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _FORMATS:
        raise HTTPException(415, f"content-type is {kind!r}; send one of {sorted(_FORMATS)}")
    return _FORMATS[kind]


async def _content(request: Request) -> bytes:
    """Read a body of limited size, however long it claims to be."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise HTTPException(413, f"more than {MOST_BYTES} bytes; tell it in parts")
    return bytes(content)


def _refuse_query(_: Request, error: Exception) -> JSONResponse:
    """Refuse a wrong query parameter in the shape of all other refusals."""
    assert isinstance(error, RequestValidationError)
    found = [Problem(None, str(entry["loc"][-1]), str(entry["input"])[:100], entry["msg"]) for entry in error.errors()]
    detail = "\n".join(problem.text("query") for problem in found)
    return JSONResponse({"detail": detail, "problems": [asdict(problem) for problem in found]}, 422)


def _refuse(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, RefusedResultsError):
        problems = [asdict(problem) for problem in error.problems]
        return JSONResponse({"detail": str(error), "problems": problems}, 422)
    after = {"Retry-After": "5"} if isinstance(error, LedgerBusyError) else None
    return JSONResponse({"detail": str(error)}, 409, after)
