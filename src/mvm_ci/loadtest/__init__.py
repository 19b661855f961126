"""``mvm-ci loadtest``: puts a known load on a cluster and measures what comes of it."""
