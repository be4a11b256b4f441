"""Models and checks that both ends of the farm's HTTP API share.

One module a subject: `files` (blobs, manifests, tickets), `jobs` (submissions, jobs, states),
`account`, `announcement` (where a farm is), `catalogue`, `changes` (the feed), `runner` (claims),
`errors` (the one error shape), `paths` (the only path checks), `inside` (files below a folder,
links not followed), `text` (names, and how untrusted text is shown), `hashing`, `places` (where
data lives by default). Nothing here does network I/O, and nothing here decides.
"""
