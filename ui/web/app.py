"""The browser app: its theme, its pages and the server."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gradio as gr
import gradio.mcp
from starlette.middleware import Middleware

from itr_core.errors import PairscopeError
from itr_core.evaluation.human_judgments import read_expert_grades
from ui.web.analysis.jobs import prepare
from ui.web.analysis.page import analysis_page
from ui.web.analysis.panels.verdicts import ROUTES, SETTINGS, VisitorCookie
from ui.web.boundary.app_arguments import app_arguments
from ui.web.boundary.bodies import DEFAULTS
from ui.web.boundary.configuration import SharedConfig
from ui.web.boundary.memory import ENVIRONMENT, MOST_SESSIONS
from ui.web.boundary.uploads import FILE_BYTES, UPLOADS
from ui.web.boundary.values import CheckedBlocks
from ui.web.compare.files import ranking_routes
from ui.web.compare.noise import SETTINGS as NOISE
from ui.web.compare.page import compare_page
from ui.web.endpoints import add_endpoints, defaults_of
from ui.web.galleries import Galleries
from ui.web.head import ICON, use_own_head
from ui.web.learn.page import learn_page
from ui.web.masthead.masthead import add_masthead
from ui.web.own.routes import own_routes
from ui.web.search.page import search_page
from ui.web.stage.page import stage_page
from ui.web.theme import THEME

_HERE = Path(__file__).parent
CSS = [_HERE / "style.css", *sorted(_HERE.glob("*/style.css"))]
"""The style sheet of all pages, then those of single pages."""
MOST_WAITING = 256
"""Most events that are answered at the same time, and most that wait for that. Those that wait for a long
computation are answered all the while, each in a thread."""
PAGES: dict[str, Callable[[Galleries], None]] = {
    "Search": search_page,
    "Compare": compare_page,
    "Stage": stage_page,
    "Analysis": analysis_page,
    "Learn": learn_page,
}
"""Title -> what adds the components and events of a page. The first one is at `/`, the others at `/title`."""


def build_app(galleries: Galleries) -> gr.Blocks:
    """Return the app with all its pages, not yet served."""
    app = CheckedBlocks(title="Pairscope", analytics_enabled=False)
    app.default_config = SharedConfig(app)
    main, *_ = PAGES
    for title, add_page in PAGES.items():
        with app if title == main else app.route(title, f"/{title.lower()}"):
            add_masthead(galleries, PAGES, title)
            add_page(galleries)
            if title == main:
                add_endpoints(galleries)
                # Pages with such an event have a heartbeat, by whose end the server knows that the session
                # has ended.
                app.unload(lambda: None)
    return app


def launch(
    gallery: list[str] | None = None,
    model: str | Sequence[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    proxies: Sequence[str] = (),
    rate: float = 1,
    verdicts: bool | None = None,
    seeds: tuple[str, str] | None = None,
    judgments: Path | None = None,
    runtime: str | None = None,
    exact: bool = False,
    thumbnails: Mapping[str, str] = {},
    block: bool = True,
) -> str:
    """Serve the app.

    Args:
        gallery: Folders made by `pairscope build`, or sources, which are built into the cache first. Default:
            Picturebook's gallery.
        model: Spec of the dual encoder for sources, or several, of which visitors choose one. Default:
            `starter:infonce`, and for Picturebook also the other starters. It also replaces the spec in the
            manifest of a gallery, which is loaded only if it was named on this machine.
        host: Network interface to listen on; `0.0.0.0` for all.
        port: TCP port.
        proxies: Addresses or networks of the proxies in front of the app, whose `X-Forwarded-*` headers are
            believed.
        rate: Multiplies the limits on requests per second of a visitor; 0 switches them off.
        verdicts: Let visitors give verdicts on misses, which are stored in the folders of the galleries.
            Default: only if no other machine can reach the app.
        seeds: Specs of two models that differ in their random seed only, for the noise band of the page
            Compare. Default: those of `ui.web.compare.noise`.
        judgments: File of expert judgments in the layout of Flickr8k's ExpertAnnotations.txt, by which the
            pictures found in galleries of Flickr8k are marked.
        runtime: What runs the models: 'torch' (also None), or 'onnx' or 'openvino' for their exports.
        exact: Use no index that `pairscope index` made.
        thumbnails: Where the thumbnails of a gallery folder are, if they were moved; see `Gallery.open`.
        block: Return only when the server stops; False returns once the app answers.

    Returns:
        The address of the app.

    Raises:
        PairscopeError: The port or the judgments cannot be used.
    """
    experts = read_expert_grades(judgments) if judgments else ()
    try:
        # Gradio checks the port, too, but later: a process that ends while a thread imports torch may abort.
        socket.create_server(("127.0.0.1", port)).close()
        UPLOADS.clear_at_exit()
        SETTINGS.on = _is_private(host, proxies) if verdicts is None else verdicts
        # Gradio's own folder for files, and the one in which its MCP server decodes pictures.
        os.environ["GRADIO_TEMP_DIR"] = gradio.mcp.DEFAULT_TEMP_DIR = str(UPLOADS.scratch)
        os.environ.update(ENVIRONMENT)
        NOISE.seeds = seeds or NOISE.seeds
        galleries = Galleries(
            gallery or ["picturebook:gallery"], model, experts, runtime, exact=exact, thumbnails=thumbnails
        )
        if judgments:
            galleries.check_experts(judgments)
        use_own_head()
        app = build_app(galleries)
        DEFAULTS.update(defaults_of(app))
        prepare(galleries)
        _, url, _ = app.queue(max_size=MOST_WAITING, default_concurrency_limit=16).launch(
            max_threads=MOST_WAITING, state_session_capacity=MOST_SESSIONS,
            server_name=host, server_port=port, prevent_thread_lock=not block, quiet=True, show_error=False,
            max_file_size=FILE_BYTES, mcp_server=True, ssr_mode=False, footer_links=["api"],
            run_history=False, enable_monitoring=False, theme=THEME, css_paths=CSS, favicon_path=ICON,
            app_kwargs=app_arguments(
                [path for path, *_ in app.pages], proxies, rate,
                middleware=[Middleware(VisitorCookie)] * SETTINGS.on,
                routes=[*ROUTES * SETTINGS.on, *ranking_routes(galleries), *own_routes(galleries)],
            ),
        )  # fmt: skip
    except OSError as error:
        raise PairscopeError(
            f"The app cannot listen on {host}:{port}; another program may use this port. "
            "Choose another one with --port."
        ) from error
    return str(url)


def _is_private(host: str, proxies: Sequence[str]) -> bool:
    """Return whether no other machine can reach the app: it is no Space, and no proxy passes requests on."""
    return host in ("127.0.0.1", "localhost", "::1") and not proxies and "SPACE_ID" not in os.environ
