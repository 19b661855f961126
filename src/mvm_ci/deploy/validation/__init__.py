"""``mvm-ci validate``: looks at a running cluster through its API, as its users do, and says what holds.

``guest``, ``delays``, ``ledger``, ``leaks`` and ``fleet`` judge, without any I/O; ``bench``, ``events``,
``samples``, ``load``, ``durable`` and ``loss`` drive the API; ``validate`` is the whole; ``report``,
``text``, ``page`` and ``plots`` tell.
"""
