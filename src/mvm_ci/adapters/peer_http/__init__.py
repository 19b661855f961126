"""HTTP for ``httpx`` on the streams of a connection between peers."""
