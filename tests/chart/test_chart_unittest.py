"""The helm-unittest suites in charts/caisson/tests."""

from tests.chart.conftest import CHART, Tool


def test_all_suites_pass(unittest: Tool) -> None:
    report = unittest.output(str(CHART))
    # helm-unittest also succeeds if it finds no suites.
    assert "Test Suites: 0" not in report
    suites = len(list((CHART / "tests").glob("*_test.yaml")))
    assert f"{suites} passed, {suites} total" in report
