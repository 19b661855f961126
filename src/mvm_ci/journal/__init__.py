"""Durable execution, sans-IO: entries, codec, replay."""
