"""Who may do what, and what it costs: credentials, plans, the ledger."""
