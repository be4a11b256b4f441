"""The runner: one process that works on one job, claim after claim.

python -m farm.runner --work-dir DIR [--farm URL] [--program PRODUCT=PATH]... [--sandbox MODE]
                      [--render-user NAME]

An engine writes the address and token to its standard input; with --farm, the token is in
FARM_RUNNER_TOKEN.

__main__   arguments, environment, signals
loop       the job: stage once, then claim after claim
stage      the project's files from the store into the work folder
surroundings  the project's files as they were submitted, laid out anew for each claim
workplace  the folders of a job: project, results, temporary files
farm_client  the farm's API (the only user of HTTP)
plugins    which plug-ins there are for the job
failure    why a claim has failed, and whether trying again can help
claim      one claim: renderer, heartbeat, log and results side by side; session runs the renderer
           as an OpenJD session, of a job that open_job makes (the only users of openjd), verdict
           says how it ended
results    rendered files, taken away from the renderer (outputs), looked at in a process that may
           be lost (image_checks, image_worker) and sent (delivery)
sandbox    bubblewrap around the renderer, and never root; licences: its way to licence servers
limits     how much of the machine it may use; watch ends one that uses more, with a control group
           (cgroups) or by looking at its processes and folders (usage)
"""
