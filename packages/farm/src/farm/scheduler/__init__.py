"""Decides which runners there should be (`plan`, pure), and writes down what happens to jobs.

`writer` is the only module that changes the state of a job, as `farm.db.frame_states` is for
frames; `claims` is what runners ask and report; `loop` reads, lets `plan` decide, and applies.
"""
