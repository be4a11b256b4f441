"""Submissions: checked, then stored with their jobs."""
