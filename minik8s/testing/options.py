"""What a test wants of its cluster: the options of its `minik8s` marks, merged and checked before anything starts.

Beside those of `Cluster` (`ClusterConfig`) there are five that are the fixtures' own:

    manifests         applied before the test begins: paths relative to the test's file (files, directories, patterns),
                      YAML text, or objects; marks add up, the module's first
    base              the name of a fixture whose cluster this one is a fork of (`cluster_base` is the default's name)
    scope             how long it lives: "function", "class", "module", "package" or "session"; tests share it
    patience          virtual hours that a body in jumping time may wait in all, see `testing.patience`
    service_account   "NAMESPACE/NAME": the environment is that of a pod of this account, not that of an administrator
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs

from minik8s.config import ClusterConfig

SCOPES = ("function", "class", "module", "package", "session")
"""From short to long."""
OWN = ("manifests", "base", "scope", "patience", "service_account")
_CLUSTERS = (*(field.name for field in attrs.fields(ClusterConfig)), "admission", "origin")
_SUFFIXES = (".yaml", ".yml", ".json")


class OptionError(ValueError):
    """A mark that cannot be meant."""


@attrs.frozen
class Wanted:
    """See the module's docstring; `options` are the cluster's own."""

    options: Mapping[str, Any]
    manifests: tuple[Any, ...] = ()
    base: str = ""
    scope: str = "function"
    patience: float | None = None
    service_account: str = ""


def merged(marks: Iterable[tuple[tuple[Any, ...], Mapping[str, Any]]], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options of (args, kwargs) of marks, the closest last, over the defaults. Raises OptionError."""
    options = dict(defaults)
    for args, given in marks:
        if args:
            raise OptionError(f"@pytest.mark.minik8s takes options by name, as in nodes=3, not {args[0]!r}")
        before = options.get("manifests", ())
        options |= given
        if "manifests" in given:
            options["manifests"] = [*before, *_several(given["manifests"])]
    return options


def wanted(options: Mapping[str, Any], directory: Path, *, least_scope: str = "function") -> Wanted:
    """The options checked, paths taken as relative to `directory`. Raises OptionError."""
    for name in options:
        if name not in _CLUSTERS and name not in OWN:
            raise OptionError(_unknown(name))
    cluster = {name: value for name, value in options.items() if name not in OWN}
    scope = options.get("scope") or least_scope
    if scope not in SCOPES:
        raise OptionError(f"'scope' must be one of {', '.join(map(repr, SCOPES))}, not {scope!r}")
    if SCOPES.index(scope) < SCOPES.index(least_scope):
        raise OptionError(f"scope={scope!r} is shorter than minik8s_scope, which is {least_scope!r} in this session")
    made = Wanted(
        cluster,
        tuple(source for each in _several(options.get("manifests", ())) for source in _sources(each, directory)),
        options.get("base") or "",
        scope,
        options.get("patience"),
        options.get("service_account") or "",
    )
    _check(made)
    return made


def _unknown(name: str) -> str:
    close = get_close_matches(name, [*_CLUSTERS, *OWN], 1, 0.6)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join([*OWN, *_CLUSTERS])}"
    return f"a cluster has no option {name!r}{hint}"


def _check(made: Wanted) -> None:
    """What contradicts each other, or could only fail later."""
    options = made.options
    if made.base and "origin" in options:
        raise OptionError("'base' and 'origin' both say what the cluster begins with")
    patience = made.patience
    if patience is not None and (isinstance(patience, bool) or not isinstance(patience, int | float) or patience <= 0):
        raise OptionError(f"'patience' must be a number of hours above 0, not {patience!r}")
    if patience is not None and (options.get("clock") != "virtual" or options.get("serve") is not False):
        raise OptionError("'patience' is for time that jumps: clock='virtual', serve=False, runtime='simulated'")
    if not made.service_account:
        return
    if options.get("serve") is False or options.get("tls") is False:
        without = "serve" if options.get("serve") is False else "tls"
        raise OptionError(f"'service_account' needs a socket with TLS, as pods use it, and {without}=False has none")
    namespace, _, name = made.service_account.partition("/")
    if not namespace or not name or "/" in name:
        raise OptionError(f"'service_account' must be NAMESPACE/NAME, not {made.service_account!r}")


def _several(given: Any) -> list[Any]:
    return [given] if isinstance(given, str | Path | Mapping) else list(given)


def _sources(source: Any, directory: Path) -> list[Any]:
    """What `Cluster.apply` takes: files for a path, a directory or a pattern; text and objects as they are."""
    if isinstance(source, Mapping):
        return [source]
    if not isinstance(source, str | Path):
        raise OptionError(f"'manifests': wanted a path, YAML text or an object, not {source!r}")
    if isinstance(source, str) and ("\n" in source or ":" in source):
        return [source]
    path = directory / source
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    elif path.is_file():
        return [path]
    else:
        found = sorted(file for file in directory.glob(str(source)) if file.is_file()) if _is_pattern(source) else []
    if not found:
        raise OptionError(f"'manifests': there is nothing at {source!s} in {directory}")
    return list(found)


def _is_pattern(source: str | Path) -> bool:
    return not Path(source).is_absolute() and any(letter in str(source) for letter in "*?[")
