"""The runner: one process that works on one job, claim after claim.

python -m farm.runner --work-dir DIR [--farm URL] [--program PRODUCT=PATH]... [--sandbox MODE]
                      [--render-user NAME]

An engine writes address and token to its standard input; with --farm, the token is in
FARM_RUNNER_TOKEN.

__main__   arguments, environment, signals
loop       the job: stage once, then claim after claim
claim      one claim: renderer, heartbeat, log and results side by side
stage      the project's files from the store into the work folder
sandbox    bubblewrap around the renderer, and never root; licences: its way to licence servers
limits     how much of the machine it may use; watch ends one that uses more, with a control group
           (cgroups) or by looking at its processes and folders (usage)
session    the renderer, inside an OpenJD session (the only user of openjd)
outputs    rendered files, taken away from the renderer
image_checks   is an image whole? Asks image_worker, a process that confined starts
health     does it look like a picture? On the numbers of image_statistics
report     the farm's API (the only user of HTTP)
"""
