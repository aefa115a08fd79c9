"""`agnhost COMMAND [FLAGS]`: the table of commands."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from minik8s.testing.agnhost import files, guestbook, issuer, netexec, nettest, sockets, web, webhook
from minik8s.testing.agnhost.flags import UsageError

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "connect": sockets.connect,
    "crd-conversion-webhook": webhook.convert,
    "dns-server-list": files.dns_server_list,
    "dns-suffix": files.dns_suffix,
    "entrypoint-tester": files.entrypoint_tester,
    "etc-hosts": files.etc_hosts,
    "fake-gitserver": web.fake_gitserver,
    "guestbook": guestbook.guestbook,
    "inclusterclient": web.inclusterclient,
    "liveness": web.liveness,
    "logs-generator": files.logs_generator,
    "mounttest": files.mounttest,
    "netexec": netexec.netexec,
    "nettest": nettest.nettest,
    "no-snat-test": web.no_snat_test,
    "pause": lambda arguments: sockets.pause(),
    "port-forward-tester": sockets.port_forward_tester,
    "porter": sockets.porter,
    "serve-hostname": sockets.serve_hostname,
    "tcp-reset": sockets.tcp_reset,
    "test-service-account-issuer-discovery": issuer.discovery,
    "test-webserver": web.test_webserver,
    "webhook": webhook.webhook,
}
MISSING = (
    "audit-proxy", "grpc-health-checking", "mtlsclient", "mtlsserver", "net", "no-snat-test-proxy",
    "podcertificatesigner", "resource-consumer-controller", "stress",
)  # fmt: skip


def main() -> None:
    """Runs the command of `sys.argv`: the program's name, the command and its flags."""
    code = run(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """The exit code."""
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(2))  # as a Go program that does not handle it
    name = arguments[0] if arguments else "help"
    if name in ("help", "--help", "-h"):
        print(f"Usage:\n  agnhost [command]\n\nAvailable Commands:\n  {', '.join(COMMANDS)}")
        return 0
    if name not in COMMANDS:
        why = "is not in this stand-in" if name in MISSING else "is unknown"
        print(f'Error: command "{name}" {why} for "agnhost"', file=sys.stderr)
        return 1
    try:
        return COMMANDS[name](arguments[1:])
    except UsageError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
