"""Addresses of searches."""

from typing import Any
from urllib.parse import parse_qsl

from itr_core.errors import QueryError


def parameters(address: Any) -> dict[str, str]:
    """Return the parameters of an address; of equal names the last one counts."""
    try:
        return dict(parse_qsl(str(address).lstrip("?"), keep_blank_values=True, max_num_fields=20))
    except ValueError as error:
        raise QueryError("This address has too many parameters.") from error
