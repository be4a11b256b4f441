"""The database's machinery: drivers, transactions, turns. Nothing here knows a table's meaning."""
