"""Decides which runners there should be (in `plan`), and records what happens to jobs.

`writer` is the only module that changes the state of a job, as `farm.db.frame_states` is for
frames; `claims` answers what runners request and report; `loop` reads, lets `plan` decide, and
applies.
"""
