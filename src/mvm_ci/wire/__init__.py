"""The worker protocol and the HTTP API's messages, sans-IO."""
