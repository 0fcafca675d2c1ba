"""A service that carries parcels: the example of a migration."""
