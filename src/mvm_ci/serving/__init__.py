"""The HTTP/1.1 server under the API: connections, requests and answers, within limits. It knows no route."""
