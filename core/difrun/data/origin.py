"""How a dataset is built again."""

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Origin:
    """How to build a dataset again.

    Attributes:
        name: The name of the component.
        options: Its options, as values that TOML can hold.
        seed: Its seed.
    """

    name: str
    options: Mapping[str, Any]
    seed: int
