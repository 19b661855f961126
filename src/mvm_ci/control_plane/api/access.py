"""The routes of tokens, namespaces and the audit log."""

from typing import Final

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.errors import BadInput, NotFound
from mvm_ci.domain.quota import Quota
from mvm_ci.domain.tokens import TOKEN_BYTES, TokenKind, format_token
from mvm_ci.lifecycle.grant import covers, grant
from mvm_ci.ports.access import ALL_NAMESPACES, ApiToken, AuditFilter, Namespace
from mvm_ci.serving.bodies import decode
from mvm_ci.wire import api

DEFAULT_ENTRIES: Final = 100
MAX_LIMIT: Final = (1 << 53) - 1

_create_token = msgspec.json.Decoder(api.CreateToken)
_create_namespace = msgspec.json.Decoder(api.CreateNamespace)
_set_quota = msgspec.json.Decoder(api.SetQuota)
_encode = msgspec.json.Encoder().encode


# -------------------------------------------------------------------- tokens
async def whoami(_services: Services, request: Request) -> Reply:
    """The caller's token."""
    caller = request.caller
    view = api.WhoAmI(
        id=caller.id,
        name=caller.name,
        role=caller.role.value,
        scope=caller.namespace,
        namespace=request.namespace,
        expires_ms=caller.expires_ms,
    )
    return Reply(_encode(view))


async def create_token(services: Services, request: Request) -> Reply:
    """A new token, of no more rights than the caller's."""
    asked = decode(_create_token, request.body)
    namespace = request.namespace if asked.namespace is None else asked.namespace
    secret = format_token(TokenKind.API, services.random(TOKEN_BYTES))
    token = grant(
        request.caller,
        secret,
        services.clock.now_ms(),
        name=asked.name,
        role=asked.role,
        namespace=namespace,
        ttl_s=asked.ttl_s,
    )
    if namespace != ALL_NAMESPACES:
        services.namespaces.find(namespace)
    # In the log of the namespace that it opens, whoever opens it.
    request.namespace = namespace
    request.target = f"{token.id} ({token.role.value} in {token.namespace})"
    await services.access.put_token(token)
    return Reply(_encode(_token_view(token, secret)))


async def tokens(services: Services, request: Request) -> Reply:
    """The tokens within the caller's reach, without their secrets."""
    found = await services.access.tokens()
    seen = tuple(_token_view(token) for token in found if covers(request.caller.namespace, token.namespace))
    return Reply(_encode(api.TokenList(tokens=seen)))


async def revoke_token(services: Services, request: Request) -> Reply:
    """Revokes a token, with effect on the next request."""
    token_id = request.params["id"]
    # One that the caller cannot see is for it not there.
    known = {token.id: token for token in await services.access.tokens()}.get(token_id)
    if known is None or not covers(request.caller.namespace, known.namespace):
        raise NotFound(f"there is no token {token_id[:80]!r}")
    request.namespace = known.namespace
    request.target = f"{known.id} ({known.name})"
    try:
        revoked = await services.access.revoke_token(token_id, services.clock.now_ms())
    finally:
        services.auth.forget()
    return Reply(_encode(_token_view(revoked or known)))


def _token_view(token: ApiToken, secret: str | None = None) -> api.TokenView:
    return api.TokenView(
        id=token.id,
        name=token.name,
        role=token.role.value,
        namespace=token.namespace,
        created_ms=token.created_ms,
        expires_ms=token.expires_ms,
        last_used_ms=token.last_used_ms,
        created_by=token.created_by,
        revoked_ms=token.revoked_ms,
        token=secret,
    )


# -------------------------------------------------------------------- namespaces
async def create_namespace(services: Services, request: Request) -> Reply:
    """A new namespace."""
    asked = decode(_create_namespace, request.body)
    request.target = asked.name
    return Reply(_encode(_namespace_view(await services.namespaces.create(asked.name, _quota(asked)))))


async def namespaces(services: Services, request: Request) -> Reply:
    """The namespaces in which the caller may work."""
    seen = (one for one in services.namespaces.all() if covers(request.caller.namespace, one.name))
    return Reply(_encode(api.NamespaceList(namespaces=tuple(map(_namespace_view, seen)))))


async def namespace(services: Services, request: Request) -> Reply:
    """One namespace."""
    name = request.params["name"]
    if not covers(request.caller.namespace, name):
        raise NotFound(f"there is no namespace {name[:80]!r}")
    return Reply(_encode(_namespace_view(services.namespaces.find(name))))


async def set_quota(services: Services, request: Request) -> Reply:
    """Sets a namespace's quota."""
    quota = _quota(decode(_set_quota, request.body))
    limits = (quota.max_waiting, quota.max_running, quota.max_bytes)
    request.target += f" (waiting {limits[0]}, running {limits[1]}, bytes {limits[2]})"
    return Reply(_encode(_namespace_view(await services.namespaces.set_quota(request.params["name"], quota))))


async def delete_namespace(services: Services, request: Request) -> Reply:
    """Removes an empty namespace; its tokens are revoked."""
    try:
        deleted = await services.namespaces.delete(request.params["name"])
    finally:
        services.auth.forget()
    return Reply(_encode(_namespace_view(deleted)))


def _quota(asked: api.SetQuota) -> Quota:
    for field in Quota.__struct_fields__:
        limit = getattr(asked, field)
        if limit is not None and not 0 <= limit <= MAX_LIMIT:
            raise BadInput(f"{field}: {limit} is not between 0 and {MAX_LIMIT}; leave it out for no limit")
    return Quota(max_waiting=asked.max_waiting, max_running=asked.max_running, max_bytes=asked.max_bytes)


def _namespace_view(one: Namespace) -> api.NamespaceView:
    return api.NamespaceView(
        name=one.name,
        created_ms=one.created_ms,
        max_waiting=one.quota.max_waiting,
        max_running=one.quota.max_running,
        max_bytes=one.quota.max_bytes,
    )


# -------------------------------------------------------------------- audit
async def audit(services: Services, request: Request) -> Reply:
    """A page of the audit log; of the caller's namespace, where its token is for one."""
    query = request.query
    scope = request.caller.namespace
    asked = query.get("namespace")
    wanted = AuditFilter(
        since_ms=query.get("since_ms"),
        actor=query.get("actor"),
        action=query.get("action"),
        namespace=asked if scope == ALL_NAMESPACES else scope,
    )
    if asked is not None and not covers(scope, asked):
        raise NotFound(f"there is no namespace {asked[:80]!r}")
    before = query.get("cursor")
    page = await services.access.audit(wanted, before, query.get("limit", DEFAULT_ENTRIES))
    entries = tuple(api.AuditView(**msgspec.structs.asdict(entry)) for entry in page.entries)
    cursor = None if page.before is None else str(page.before)
    return Reply(_encode(api.AuditList(entries=entries, cursor=cursor)))
