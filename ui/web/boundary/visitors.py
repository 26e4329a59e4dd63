"""Who sends a request: the address of the client, which named proxies may pass on."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_FORWARDED = (b"x-forwarded-", b"forwarded", b"x-gradio-server")


def visitor(scope: Scope) -> str:
    """Return the address that limits count by; of IPv6, the network of 64 bits that one customer gets."""
    address = _address(scope)
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def is_this_machine(scope: Scope) -> bool:
    """Return whether the client runs on the server's own machine, without a proxy that passes it on."""
    address = _address(scope)
    return not isinstance(address, str) and address.is_loopback


def _address(scope: Scope) -> IPv4Address | IPv6Address | str:
    """Return the address of the client; a text that is no address as it is."""
    host = str((scope.get("client") or ("unknown",))[0])
    try:
        address = ip_address(host)
    except ValueError:
        return host
    # A proxy that listens to both names IPv4 clients as ::ffff:1.2.3.4: all of them are in one IPv6 network.
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


class ForwardedHeaders:
    """Middleware that believes `X-Forwarded-For`, `-Host` and `-Proto` from named proxies only.

    Gradio would write the host of anybody's header into the links of its answers.

    Args:
        app: The app behind.
        proxies: Addresses or networks of the proxies; "*" for every sender.
    """

    def __init__(self, app: ASGIApp, proxies: list[str]) -> None:
        self.app = app
        self.behind_proxy = ProxyHeadersMiddleware(app, proxies)  # type: ignore[arg-type]  # uvicorn's own types

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        believed = (scope.get("client") or (None,))[0] in self.behind_proxy.trusted_hosts
        dropped = (b"x-gradio-server",) if believed else _FORWARDED
        scope["headers"] = [each for each in scope["headers"] if not each[0].lower().startswith(dropped)]
        await self.behind_proxy(scope, receive, send)  # type: ignore[arg-type]  # uvicorn's own types
