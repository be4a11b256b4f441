"""The farm as a process: its server, and the file that says where it is."""
