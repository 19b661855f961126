"""Settings: the one reader of the environment and of settings files.

Flags arrive as the text that the user typed, so that one parser and one message serve flag, environment
and default. ``docs/reference/settings.md`` lists every setting; a test holds it to the table.
"""
