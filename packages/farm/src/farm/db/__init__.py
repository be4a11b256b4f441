"""The database: tables, migrations, and one module of queries per subject.

Functions here take a SQLAlchemy connection inside a transaction that the caller opened with
`Database.read` or `Database.write`. They store and fetch; they decide nothing.

Jobs have a module for each of those who ask, as these need other columns of them:

new_jobs      submissions: how they are stored, with all of their rows at once
job_rows      the scheduler: typed rows to decide on, and the one place that changes them
job_warnings  the scheduler and the look for missing files: warnings that come later
jobs          users: submissions and jobs as the API shows them
tasks         users: the claims of a job as they see them, and the hosts that had them
overview      administrators: jobs and runners of all users
feed          Envoys: what has changed
"""
