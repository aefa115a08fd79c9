"""get and list: consistent reads, present or past, in pages."""

from __future__ import annotations

import base64

import orjson

from minik8s.api.request import ApiRequest, ListResult
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.options import check_list_options, integer_option, list_errors
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ListResponse, ObjectResponse
from minik8s.apiserver.selection import Selection, selection
from minik8s.machinery.errors import BadRequest, Expired, NotFound, StatusCause, Timeout
from minik8s.store.protocol import Compacted, Entry, FutureRevision, Page, Revision

Cursor = tuple[str, str]


async def get(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """One object. Its resourceVersion parameter only asks for "not older than"."""
    wanted = parse_version(request.options.get("resourceVersion", ""))
    if wanted and wanted > ctx.store.revision:
        raise too_large(wanted, ctx.store.revision)
    entry = await find(ctx, served, request.namespace, request.name)
    return ObjectResponse(served.view(entry.value), served.resource, served.source(entry))


async def find(ctx: ServerContext, served: Served, namespace: str, name: str) -> Entry:
    """The stored entry; raises NotFound."""
    entry = await ctx.store.get(served.key(namespace, name))
    if entry is None:
        raise NotFound.object(served.resource.plural, served.resource.group, name)
    if served.is_remote:
        await served.ready((entry.value,))
    return entry


async def list_objects(ctx: ServerContext, served: Served, request: ApiRequest) -> ListResponse:
    """A page of the collection, at the version and with the selectors that the parameters ask for."""
    chosen = selection(served, request)
    page = await page_of(ctx, request, chosen)
    return ListResponse(list_result(served, page, chosen), served.resource)


async def page_of(ctx: ServerContext, request: ApiRequest, chosen: Selection) -> Page:
    """The part of a collection that a request's parameters mean. Raises ApiError for what cannot be read."""
    limit = max(integer_option(request.options, "limit") or 0, 0)
    integer_option(request.options, "timeoutSeconds")  # means nothing to a list, but has to be a number
    at, after = _position(ctx, request)
    try:
        page = await _page(ctx, chosen, at, after, limit)
        if chosen.served.is_remote:
            await chosen.served.ready([entry.value for entry in page.entries])
        return page
    except Compacted:
        raise _expired(ctx, request) from None
    except FutureRevision as error:
        raise too_large(error.asked, error.current) from None


def list_result(served: Served, page: Page, chosen: Selection) -> ListResult:
    """A page as it is answered; how much is left is known only where nothing was selected."""
    return ListResult(
        items=[served.view(entry.value) for entry in page.entries],
        resource_version=str(page.revision),
        continue_=encode_continue(page.revision, page.after) if page.after else "",
        remaining=page.remaining if page.after and chosen.is_everything else None,
        sources=page.entries if served.shares_bytes else None,
    )


async def _page(ctx: ServerContext, chosen: Selection, at: Revision | None, after: Cursor | None, limit: int) -> Page:
    if chosen.is_everything:
        return await ctx.store.range(chosen.prefix, at=at, after=after, limit=limit, term=chosen.term)
    page = await ctx.store.range(chosen.prefix, at=at, after=after, term=chosen.term)
    if chosen.served.is_remote:
        await chosen.served.ready([entry.value for entry in page.entries])
    entries = [entry for entry in page.entries if chosen.matches(entry.value)]
    if not limit or len(entries) <= limit:
        return Page(entries, page.revision, None, 0)
    last = entries[limit - 1].key
    return Page(entries[:limit], page.revision, (last[1], last[2]), len(entries) - limit)


def _position(ctx: ServerContext, request: ApiRequest) -> tuple[Revision | None, Cursor | None]:
    """Which revision to read at (None: now) and where to go on."""
    options = request.options
    version, match = options.get("resourceVersion", ""), options.get("resourceVersionMatch", "")
    check_list_options(list_errors(options))
    if token := options.get("continue"):
        if version not in ("", "0"):
            raise BadRequest("specifying resource version is not allowed when using continue")
        revision, after = decode_continue(token)
        return (revision if revision > 0 else None), after
    wanted = parse_version(version)
    if wanted > ctx.store.revision:
        raise too_large(wanted, ctx.store.revision)
    return (wanted if match == "Exact" else None), None


def parse_version(text: str) -> Revision:
    """A resourceVersion parameter as a number, 0 when empty; raises BadRequest."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        raise BadRequest(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": strconv.ParseUint: '
            f'parsing "{text}": invalid syntax'
        )
    return int(text)


def too_large(wanted: Revision, current: Revision) -> Timeout:
    """The answer to a version that has not been written yet."""
    return Timeout(
        f"Timeout: Too large resource version: {wanted}, current: {current}",
        causes=[StatusCause("ResourceVersionTooLarge", "Too large resource version")],
        retry_after=1,
    )


def encode_continue(revision: Revision, after: Cursor) -> str:
    """An opaque token: the snapshot's revision and the last key that was sent."""
    raw = orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": "/".join(after)})
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_continue(token: str) -> tuple[Revision, Cursor]:
    """Raises BadRequest for anything that `encode_continue` did not make."""
    try:
        raw = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, slash, name = raw["start"].partition("/")
        if raw["v"] != "meta.k8s.io/v1" or not slash or not isinstance(raw["rv"], int):
            raise ValueError("unknown version")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadRequest("invalid continue token: continue key is not valid: not made by this server") from None
    return raw["rv"], (namespace, name)


def _expired(ctx: ServerContext, request: ApiRequest) -> Expired:
    if not request.options.get("continue"):
        return Expired("The resourceVersion for the provided list is too old.")
    _, after = decode_continue(request.options["continue"])
    error = Expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    error.continue_ = encode_continue(-1, after)
    return error
