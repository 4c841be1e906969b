"""The fixtures that tests of the authorization server share."""

from tests.oauth_fixtures import client, place, registry, servers, time

__all__ = ["client", "place", "registry", "servers", "time"]
