"""``mfal serve``: the same door as `mfal ask` and `mfal tell`, over HTTP."""

import argparse
from pathlib import Path

_LOOPBACK = "127.0.0.1"


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "serve", help="offer batch and results to instrument software over HTTP",
        description="GET /batch, POST /results, GET /status; described at /docs and /openapi.json. The token comes "
        "from MFAL_TOKEN or from a file that only its owner can read. There is no TLS: for other machines than this "
        "one put a proxy with TLS before it.",
    )  # fmt: skip
    parser.add_argument("directory", type=Path, help="of the campaign")
    parser.add_argument("--host", default=_LOOPBACK, help="address to listen at (default: this machine only)")
    parser.add_argument("--port", type=int, default=8484)
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="with mode 600; otherwise MFAL_TOKEN")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from mfal.campaign.record import campaign_events
    from mfal.laboratory.access import read_token
    from mfal.oracle import need_package

    campaign_events(options.directory)
    token = read_token(options.token_file)
    for package in ("fastapi", "uvicorn"):
        need_package(package, "server")
    import uvicorn

    from mfal.laboratory.server import application

    if options.host != _LOOPBACK:
        print(f"listening at {options.host} without TLS: tokens and results can be read on the way")
    print(f"http://{options.host}:{options.port}/docs describes the calls; stop with Ctrl-C", flush=True)
    uvicorn.run(application(options.directory, token), host=options.host, port=options.port, log_level="warning")
    return 0
