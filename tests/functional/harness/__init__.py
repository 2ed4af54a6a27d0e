"""What the functional, driver and chaos tests share: a PostgreSQL, a pgweir, a raw protocol client, a fake server."""
