"""One browser for all tests of pages."""

from collections.abc import Iterator

import pytest
from support import browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """Headless Chromium, with a profile of its own."""
    with browser.started(tmp_path_factory.mktemp("chromium") / "profile") as page:
        yield page
