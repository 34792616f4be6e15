"""For the tests of your own API: callers, a clock and an identity provider, as a pytest plugin.

    def test_reports_are_for_analysts():
        with TestClient(app) as client:
            assert client.get("/reports", headers=bearer_for(app, roles=["analyst"])).status_code == 200
            assert client.get("/reports", headers=bearer_for(app)).status_code == 403

The plugin is part of the installation. It has the fixtures `fake_clock` and `fake_provider`.
"""

from bff.running_test import NotUnderTest
from bff.testing.callers import bearer_for
from bff.testing.clock import FakeClock
from bff.testing.provider import FakeProvider, Person

__all__ = ["FakeClock", "FakeProvider", "NotUnderTest", "Person", "bearer_for"]
