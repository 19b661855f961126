"""The acceptance suite, on containers."""

from __future__ import annotations

import pytest

from tests.acceptance.suite import checks

pytestmark = pytest.mark.timeout(600)
globals().update(checks())
