"""The typed client of the HTTP API."""

from mvm_ci.client.api import ApiClient as ApiClient
