"""Where the command line sends its requests, and with which token."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mvm_ci.config import settings
from mvm_ci.config.credentials import Credentials, read_credentials
from mvm_ci.config.file import Section, choose_profile
from mvm_ci.config.found import Found, Origin
from mvm_ci.config.source import Source, parsed, reveal
from mvm_ci.domain.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Place:
    """A place that may say where the control plane is. ``bound``: its token is for its own address alone."""

    url: Found | None
    token: Found | None
    bound: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """What was found; ``refused``: a token that belongs to another address, and that address."""

    url: Found | None = None
    token: Found | None = None
    refused: tuple[Found, str] | None = field(default=None, repr=False)


def client_config(source: Source) -> Credentials:
    """Where to send requests, and the token. Raises ``Misconfigured``."""
    found = connection(source)
    if found.url is not None and found.token is not None:
        chosen = namespace_in_use(source)
        return Credentials(
            parsed(settings.URL, found.url),
            reveal(settings.TOKEN, found.token),
            None if chosen is None else parsed(settings.NAMESPACE, chosen),
        )
    if found.url is not None and found.refused is not None:
        token, own = found.refused
        url = parsed(settings.URL, found.url)
        raise Misconfigured(f"the token in {token.where} is for {own}, not for {url}; give --token-file")
    missing = "address" if found.url is None else "token"
    raise Misconfigured(
        f"no {missing} of a control plane: start one with 'mvm-ci dev', or give --url and --token-file "
        f"(there is no {source.directory(settings.CREDENTIALS)})"
    )


def connection(source: Source) -> Connection:
    """The first address, and the first token that may go there. Raises ``Misconfigured``."""
    url = next((place.url for place in places(source) if place.url is not None), None)
    if url is None:
        return Connection()
    address = parsed(settings.URL, url)
    refused: tuple[Found, str] | None = None
    for place in places(source):
        if place.token is None:
            continue
        own = parsed(settings.URL, place.url) if place.bound and place.url is not None else address
        if own == address:
            return Connection(url, place.token)
        # A token goes to the server it was made for and to no other.
        refused = refused or (place.token, own)
    return Connection(url, None, refused)


def namespace_in_use(source: Source) -> Found | None:
    """What says in which namespace to work, in the order of ``places``. Raises ``Misconfigured``."""
    used = profile_in_use(source)
    own = None if used is None else used[0].find(settings.NAMESPACE)
    set_around = source.in_environment(settings.NAMESPACE)
    by_flag = used is not None and used[1].origin is Origin.FLAG
    below = (own, set_around) if by_flag else (set_around, own)
    return source.typed(settings.NAMESPACE) or below[0] or below[1]


def profile_in_use(source: Source) -> tuple[Section, Found] | None:
    """The profile that counts, and what chose it. Raises ``Misconfigured``."""
    found = source.find(settings.PROFILE)
    if found is not None:
        name = parsed(settings.PROFILE, found)
        if source.file is None:
            raise Misconfigured(
                f"{found.where}: there is no profile {name!r}, since there is no configuration file"
            )
        return choose_profile(source.file, name, found.where), found
    file = source.file
    if file is None or file.profile is None:
        return None
    return file.profiles[file.profile], Found((file.profile,), Origin.FILE, f"{file.path}:profile")


def places(source: Source) -> Iterator[Place]:
    """The places that may name address and token, in the order in which they count. Raises ``Misconfigured``.

    A profile that a flag names stands before the environment: who types it means it. The credentials file
    that a variable names belongs to the environment, the one in its usual place is the default.
    """
    used = profile_in_use(source)
    by_flag = used is not None and used[1].origin is Origin.FLAG
    profile = (
        [] if used is None else [Place(used[0].find(settings.URL), used[0].find(settings.TOKEN), bound=True)]
    )
    named = source.in_environment(settings.CREDENTIALS) is not None
    yield Place(source.typed(settings.URL), source.typed(settings.TOKEN))
    if by_flag:
        yield from profile
    yield Place(source.in_environment(settings.URL), source.in_environment(settings.TOKEN))
    if named:
        yield from _stored(source)
    if not by_flag:
        yield from profile
    if not named:
        yield from _stored(source)


def _stored(source: Source) -> Iterator[Place]:
    path = source.directory(settings.CREDENTIALS)
    stored = read_credentials(path)
    if stored is not None:
        yield Place(
            Found((stored.url,), Origin.CREDENTIALS, str(path)),
            Found((stored.token,), Origin.CREDENTIALS, str(path)),
            bound=True,
        )
