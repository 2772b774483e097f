"""Have a pool of database connections in each process.

    rocket-cli serve --hooks database_hooks mysite.wsgi:application

It takes psycopg and psycopg_pool. The variables of libpq, such as PGHOST and PGDATABASE, which may
be in the file of --env-file, say where the database is. The application has the pool by

    from database_hooks import pool

    with pool.connection() as connection:
        ...
"""

from psycopg_pool import ConnectionPool

# The supervisor imports this module, and opens nothing: a connection must not be shared by
# processes, and the threads of a pool are not in a process that was forked. While a thread waits
# for its client, another one takes its place (--max-stalled), so there may be more of them than
# --threads; those that find no connection within the timeout get an error.
pool = ConnectionPool(min_size=1, max_size=8, timeout=10, open=False)


def post_fork(server, worker):
    """Open the pool of this process. Without a database the process does not serve."""
    pool.open(wait=True, timeout=10)


def worker_exit(server, worker):
    """Close the connections after the last request."""
    pool.close()
