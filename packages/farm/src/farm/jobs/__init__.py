"""What a job is and how it changes, as pure functions: no I/O, no clock, no database."""
