"""Notices to users, on their way out."""
