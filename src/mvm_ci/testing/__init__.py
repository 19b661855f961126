"""Fakes and crash points for tests; nothing shipped imports it."""
