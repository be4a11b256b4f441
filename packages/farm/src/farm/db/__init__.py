"""The database: tables, migrations, and one module of queries per subject.

Functions here take a SQLAlchemy connection inside a transaction that the caller opened with
`Database.read` or `Database.write`. They store and fetch; they decide nothing.
"""
