"""The farm as a process: its server, and the folder that it works on."""
