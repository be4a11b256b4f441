"""What stands between the network and the two services, before either knows who is asking.

`connections`: how many there may be, and how slow and how large what they send may be.
`bodies`: bodies that are read as a whole. `descriptors`: open files of this process.

It knows nothing of routes, accounts or errors of either service; they hand it numbers.
"""
