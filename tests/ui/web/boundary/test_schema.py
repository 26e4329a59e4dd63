"""Requests that schemathesis makes from the app's OpenAPI schema: no answer is an error of the server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.ui.server import served_app

pytestmark = [pytest.mark.slow, pytest.mark.fuzz, pytest.mark.timeout(3600)]

EXAMPLES = 100
"""Requests of each route and kind: as the schema says, and other than it says."""


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenApiSchema]:
    """Serve the app without limits on requests; return its schema."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PAIRSCOPE_RATE", "0")
        log = tmp_path_factory.mktemp("app") / "log.txt"
        with served_app(log, "picturebook:gallery@8") as url:
            yield schemathesis.openapi.from_url(f"{url}/gradio_api/openapi.json")
        assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_an_error_of_the_server(
    mode: GenerationMode, openapi: OpenApiSchema, record_property: Callable[[str, object], None]
) -> None:
    routes = []
    for found in openapi.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        # The pytest plugin of schemathesis 4.32 does not run with pytest 9.2.
        @settings(
            max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case[Any]) -> None:
            answer = case.call(timeout=60)
            case.validate_response(answer, checks=[not_a_server_error])
            assert "Traceback" not in answer.text

        try:
            check()
            routes.append(operation.label)
        except Unsatisfiable:
            assert mode == GenerationMode.NEGATIVE  # the schema of some routes allows every value
    record_property("routes", ", ".join(routes))
    assert routes
