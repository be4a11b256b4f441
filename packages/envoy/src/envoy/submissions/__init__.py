"""From a request about a project to what is accepted."""
