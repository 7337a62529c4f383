"""A CI that lacks the reference data must fail, not skip; GitHub's, which never has it, skips."""

import pytest
from support.requirements import everything_is_required


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, False, id="a developer's machine"),
        pytest.param({"CI": "true"}, True, id="a CI of one's own"),
        pytest.param({"CI": "true", "GITHUB_ACTIONS": "true"}, False, id="GitHub"),
        pytest.param({"CROWDBENCH_REQUIRE_REFERENCE": "1"}, True, id="asked for"),
        pytest.param({"CROWDBENCH_REQUIRE_REFERENCE": "0"}, False, id="switched off"),
        pytest.param(
            {"CROWDBENCH_REQUIRE_REFERENCE": "1", "CI": "true", "GITHUB_ACTIONS": "true"},
            True,
            id="asked for on GitHub",
        ),
    ],
)
def test_what_is_missing_fails_only_where_everything_is_required(
    environment: dict[str, str], expected: bool
) -> None:
    assert everything_is_required(environment) is expected
