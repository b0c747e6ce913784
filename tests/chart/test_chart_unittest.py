"""The suites in charts/caisson/tests, run by helm-unittest."""

from tests.chart.conftest import CHART, Tool


def test_the_suites_pass(unittest: Tool) -> None:
    report = unittest.output(str(CHART))
    # Of suites that it does not find it says that they passed.
    assert "Test Suites: 0" not in report
    suites = len(list((CHART / "tests").glob("*_test.yaml")))
    assert f"{suites} passed, {suites} total" in report
